"""One page that holds everything it shows: it is opened from a file and fetches nothing."""

from __future__ import annotations

from html import escape

from flowdpo_pl.view.component import data, part, policy, script, style
from flowdpo_pl.view.problems import Problems
from flowdpo_pl.view.selection import Selected

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>This page shows its problems by JavaScript, which is switched off here.</noscript>
{part}<script>{script}</script>
</body>
</html>
"""


def page(problems: Problems, chosen: Selected, title: str) -> str:
    """The page as HTML.

    Args:
        problems: of the run, which `chosen` has read.
        chosen: those that are shown.
        title: of the page; any text.
    """
    css, js = style(), script()
    return _PAGE.format(
        policy=escape(policy([css], [js])),
        title=escape(title),
        style=css,
        part=part("", data(problems, chosen, title)),
        script=js,
    )

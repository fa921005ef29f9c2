"""One page that holds everything it shows: it is opened from a file and fetches nothing."""

from __future__ import annotations

from flowdpo_pl.view.component import data, part, policy, script, style
from flowdpo_pl.view.problems import Problems
from flowdpo_pl.view.selection import Selected
from flowdpo_pl.view.written_page import html

_BODY = """<noscript>This page shows its problems by JavaScript, which is switched off here.</noscript>
{part}<script>{script}</script>"""


def page(problems: Problems, chosen: Selected, title: str) -> str:
    """The page as HTML.

    Args:
        problems: of the run, which `chosen` has read.
        chosen: those that are shown.
        title: of the page; any text.
    """
    css, js = style(), script()
    body = _BODY.format(part=part("", data(problems, chosen, title)), script=js)
    return html(title, policy([css], [js]), css, body)

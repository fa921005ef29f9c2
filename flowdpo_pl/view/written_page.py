"""A page that holds everything it shows: what surrounds it, how it is written and opened."""

from __future__ import annotations

from html import escape
from pathlib import Path

from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.view.in_browser import show_in_browser
from flowdpo_pl.visible import visible_line

_HTML = """<!doctype html>
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
{body}
</body>
</html>
"""


def html(title: str, policy: str, style: str, body: str) -> str:
    """The whole page.

    Args:
        title: any text.
        policy: its content-security policy.
        style: CSS.
        body: HTML.
    """
    return _HTML.format(policy=escape(policy), title=escape(title), style=style, body=body)


def write_page(text: str, target: Path, told: str, open: bool) -> None:
    """Write the page, whole or not at all, say where and what it holds, and open it where somebody sits.

    Raises:
        UserError: it can't be written there.
    """
    with whole_file(target, "give another place by --output=FILE") as partial:
        partial.write_text(text, encoding="utf-8")
    print(visible_line(f"{target}: {told}, {target.stat().st_size / 1e6:.1f} MB"), flush=True)
    if open:
        show_in_browser(target)

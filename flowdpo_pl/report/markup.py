"""HTML of which every text is escaped, unless it is HTML already."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from flowdpo_pl.visible import visible


class Markup(str):
    """HTML; any other text is none."""

    __slots__ = ()


def tag(name: str, *inner: str, **attributes: str) -> Markup:
    """An element; `class_` is `class`, and an underscore in another attribute's name a dash."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(visible(value))}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{given}>{joined(inner)}</{name}>")


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """The parts, one behind the other."""
    texts = (part if isinstance(part, Markup) else escape(visible(part)) for part in parts)
    return Markup(escape(between).join(texts))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Markup:
    """A table that scrolls by itself where the page is narrow."""
    top = tag("tr", *(tag("th", cell) for cell in head))
    body = joined(tag("tr", *(tag("td", cell) for cell in row)) for row in rows)
    return tag("div", tag("table", tag("thead", top), tag("tbody", body)), class_="wide")

"""Markdown of the docs as the site shows it: formulas as MathML, links that leave docs/ as plain words.

GitHub renders the same formulas: `$…$` in a line, and fences of `math`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from markdown.treeprocessors import Treeprocessor

DOCS = Path(__file__).parents[1] / "docs"
BEFORE_ESCAPES = 185  # Markdown's own: 190 for `code`, 180 for backslashes
AFTER_INLINE = 5


def block(source: str, *_: Any, **__: Any) -> str:
    """A fence of `math`, as pymdownx.superfences asks for it; its `\\tag` stands at the right."""
    number = re.search(r"\\tag\{(\w+)\}", source)
    formula = convert(source.replace(number[0], "") if number else source, display="block")
    tag = f'<span class="number">({number[1]})</span>' if number else ""
    return f'<div class="formula">{formula}{tag}</div>'


class Formula(InlineProcessor):
    """`$…$`, with no space inside its marks."""

    def __init__(self) -> None:
        super().__init__(r"(?<![\\$\w])\$(?![\s$])([^$`]*[^\s$`\\])\$(?![\w$])")

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Element, int, int]:  # type: ignore[override]
        formula = fromstring(convert(m[1]))
        for part in formula.iter():
            part.tag = part.tag.removeprefix("{http://www.w3.org/1998/Math/MathML}")
        return formula, m.start(0), m.end(0)


class Outside(Treeprocessor):
    """A link to a file beside docs/ leads to no page: its words stay, its path is their title."""

    def run(self, root: Element) -> None:
        for link in root.iter("a"):
            target = re.fullmatch(r"(?:\.\./)+([^#]+)(#.*)?", link.get("href", ""))
            if target and not (DOCS / target[1]).exists():
                link.tag = "span"
                link.attrib.clear()
                link.attrib.update({"class": "outside", "title": f"{target[1]}, in the repository"})


class Markup(Extension):
    def extendMarkdown(self, md: Markdown) -> None:
        md.inlinePatterns.register(Formula(), "formula", BEFORE_ESCAPES)
        md.treeprocessors.register(Outside(md), "outside", AFTER_INLINE)


def makeExtension(**options: Any) -> Markup:
    """What Python-Markdown calls."""
    return Markup(**options)

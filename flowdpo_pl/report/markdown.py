r"""Tables of Markdown, in which text of data stays text: a bar, a tag or a link in a label is none.

A mark of Markdown that stands for itself has a backslash before it, in a table a bar too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from flowdpo_pl.visible import visible_line

_MARKS = re.compile(r"[\\|<\[`*]|&(?=#?\w+;)")
"""What begins HTML, a link, a picture, code, stress or an entity, ends a cell, or is the backslash itself."""
_BARS = re.compile(r"\\.|\|")
_CELLS = re.compile(r"((?:\\.|[^\\|])*)\|")
_STANDING = re.compile(r"\\([\\|<\[`*&])")


def literal(text: object) -> str:
    """A text as Markdown that shows it letter by letter, on one line; controls as their escapes."""
    return _MARKS.sub(r"\\\g<0>", visible_line(str(text)))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown; whatever they hold, each row has its cells."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in lines)


def cells_of(line: str) -> list[str]:
    """The texts of a row whose cells are `literal`."""
    cells = _CELLS.findall(line.strip().removeprefix("|"))
    return [_STANDING.sub(r"\1", cell.strip()) for cell in cells]


def _cell(markdown: str) -> str:
    """Without a line break, and without a bar that has no backslash yet."""
    one_line = " ".join(markdown.splitlines())
    return _BARS.sub(lambda found: r"\|" if found[0] == "|" else found[0], one_line)

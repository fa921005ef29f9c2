"""A study's folder: the runs of `fit` under its seeds, and the tables of its report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.report.markdown import cells_of
from flowdpo_pl.report.markup import Markup, joined, table, tag
from flowdpo_pl.results.run_folder import read_mark

_REPORT = Path("report") / "report.md"


def study_runs(folder: Path) -> list[Path]:
    """The folders of its runs of `fit`, by seed and stage; empty for a folder that is no study's."""
    found = [
        place.parent for place in folder.glob("seed*/*/stage.json") if not place.parent.name.endswith(".old")
    ]
    fits = [place for place in found if (mark := read_mark(place)) is not None and mark.verb == "fit"]
    return sorted(fits, key=lambda place: (_number(place.parent.name), place.name))


def study_tables(folder: Path) -> Markup:
    """The tables and notes of its report; a sentence where it has not been written.

    Raises:
        UserError: the report is not UTF-8.
    """
    file = folder / _REPORT
    if not file.is_file():
        return tag("p", "The study has no report yet: its last stage has not ended.", class_="quiet")
    return joined(_blocks("".join(line for _, line in text_lines(file))))


def _blocks(text: str) -> Iterator[Markup]:
    """Headings, tables and notes of Markdown as a study writes it; its picture is left to the charts."""
    for block in re.split(r"\n{2,}", text.strip()):
        lines = block.splitlines()
        if block.startswith("### "):
            yield tag("h3", block.removeprefix("### "))
        elif block.startswith("| ") and len(lines) > 1:
            head, _, *rows = (cells_of(line) for line in lines)
            yield table(head, rows)
        elif not block.startswith("!["):
            yield tag("p", block)


def _number(name: str) -> int:
    digits = re.sub(r"\D", "", name)
    return int(digits) if digits else 0

"""What the studies of a grid found, side by side: their reports' tables anew, with a column a cell."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TypeVar

from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.verbs.report_tables import (
    KIND_AND_NUMBER,
    KINDS,
    Measured,
    Noted,
    half_widths,
    kind_rows,
    table,
    write_rows,
)

Row = TypeVar("Row")


@dataclass(frozen=True)
class CellNumbers:
    """What the report of one cell says."""

    cell: str
    shares: list[Measured]
    differences: list[Measured]
    noted: list[Noted]


def read_cell(cell: str, report: Path) -> CellNumbers:
    """The numbers of a report's folder.

    Raises:
        UserError: its `tables.csv` is not there, or a file is no table of a report.
    """
    tables, sections = report / "tables.csv", report / "sections.csv"
    if not tables.is_file():
        raise UserError(
            f"{tables} does not exist: give the study a `report`, or leave out the grid's `picture`."
        )
    rows = _rows(tables, _of_kind)
    shares, differences = ([one for kind, one in rows if kind == wanted] for wanted in KINDS)
    noted = _rows(sections, _noted) if sections.is_file() else []
    return CellNumbers(cell, shares, differences, noted)


def write_tables(cells: Sequence[CellNumbers], output: Path, before: str = "") -> str:
    """Write `grid.md`, which is returned, and seed by seed `grid.csv` and `sections.csv`: what the reports
    measured, and what stages noted.

    Args:
        cells: in the order of the columns.
        output: the grid's folder.
        before: what the page begins with.
    """
    page = "\n\n".join(part for part in (before, *_sections(cells)) if part)
    with whole_file(output / "grid.md") as partial:
        partial.write_text(page + "\n", encoding="utf-8")
    rows = ((one.cell, *row) for one in cells for row in kind_rows(one.shares, one.differences))
    write_rows(output / "grid.csv", ("cell", *KIND_AND_NUMBER), rows)
    head = ("cell", *(column.name for column in fields(Noted)))
    write_rows(output / "sections.csv", head, ((one.cell, *astuple(n)) for one in cells for n in one.noted))
    return page


def _sections(cells: Sequence[CellNumbers]) -> Iterator[str]:
    """Of each table its shares and its differences, then what stages noted."""
    for name in dict.fromkeys(number.table for one in cells for number in one.shares):
        shares = {one.cell: _percent(one.shares, name) for one in cells}
        differences = {one.cell: _percent(one.differences, name) for one in cells}
        parts = [f"### {name}", _side_by_side("right, %", shares, "{:.1f}")]
        if any(differences.values()):
            parts.append(_side_by_side("difference, points", differences, "{:+.1f}"))
            least = {one.cell: _least(one.differences, name) for one in cells}
            parts.append(_side_by_side("not all told from chance below, points", least, "{:.1f}"))
        yield "\n\n".join(parts)
    for name in dict.fromkeys(number.table for one in cells for number in one.noted):
        noted = {
            one.cell: [(f"{n.row}: {n.column}", n.value) for n in one.noted if n.table == name]
            for one in cells
        }
        yield f"### {name}\n\n{_side_by_side('', noted, '{:,.1f}')}"


def _percent(numbers: Sequence[Measured], name: str) -> list[tuple[str, float]]:
    """Rows of one table with their values, a row once a seed."""
    return [(number.row, 100 * number.value) for number in numbers if number.table == name]


def _least(differences: Sequence[Measured], name: str) -> list[tuple[str, float]]:
    """Which differences of one table its intervals can't tell from chance, once a seed."""
    own = [one for one in differences if one.table == name]
    seeds = [[one for one in own if one.seed == seed] for seed in sorted({one.seed for one in own})]
    return [found for of_seed in seeds for found in half_widths(of_seed).items()]


def _side_by_side(corner: str, numbers: Mapping[str, Sequence[tuple[str, float]]], form: str) -> str:
    """A row for each that a cell has, and a column a cell: the mean of its seeds, and their range."""
    rows, seeds = [], 0
    for row in dict.fromkeys(name for own in numbers.values() for name, _ in own):
        found = [[value for name, value in own if name == row] for own in numbers.values()]
        seeds = max(seeds, *map(len, found))
        rows.append([row, *(_told(values, form) for values in found)])
    told = "mean of seeds (their range)" if seeds > 1 else ""
    return table([": ".join(filter(None, (corner, told))), *numbers], rows)


def _told(values: Sequence[float], form: str) -> str:
    if not values:
        return ""
    mean = form.format(sum(values) / len(values))
    ends = f" ({form.format(min(values))} to {form.format(max(values))})"
    return mean + (ends if len(values) > 1 else "")


def _rows(file: Path, made: Callable[[Mapping[str, str]], Row]) -> list[Row]:
    """What is made of each row of a table.

    Raises:
        UserError: it is none that a report writes.
    """
    try:
        rows = csv.DictReader(line for _, line in text_lines(file))
        if rows.fieldnames is None:
            raise ValueError("it is empty")
        return [made(row) for row in rows]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{file} is no table of a report ({error!r}): remove it, and run the grid again."
        ) from error


def _of_kind(row: Mapping[str, str]) -> tuple[str, Measured]:
    if row["kind"] not in KINDS:
        raise ValueError(f"the kind {row['kind']!r} is none of {', '.join(KINDS)}")
    return row["kind"], _measured(row)


def _measured(row: Mapping[str, str]) -> Measured:
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    if not all(-1 <= number <= 1 for number in (value, low, high)):
        raise ValueError(f"{value}, {low}, {high} are no shares, nor differences of them")
    p = float(row["p"]) if row["p"] else None
    return Measured(row["table"], row["row"], int(row["seed"]), int(row["problems"]), value, low, high, p)


def _noted(row: Mapping[str, str]) -> Noted:
    value = float(row["value"])
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number to take a mean of")
    return Noted(row["table"], row["row"], row["column"], int(row["seed"]), value)

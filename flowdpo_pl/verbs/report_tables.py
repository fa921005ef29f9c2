"""A study's numbers as tables of Markdown: a column a seed, then their range. Seeds are never pooled."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.errors import UserError
from flowdpo_pl.report import markdown
from flowdpo_pl.report.markdown import literal
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.results.foreign_json import read_json


@dataclass(frozen=True)
class Measured:
    """One number with its interval, in shares."""

    table: str
    row: str
    seed: int
    problems: int
    value: float
    low: float
    high: float
    p: float | None = None
    """Of a difference: exact, two-sided (`results.paired.randomization_test`)."""


KINDS = ("accuracy", "difference")
"""Of the numbers in a report's `tables.csv`."""
OF_ALL, OF_SOME = "all problems", "some of them"
"""What a difference is over."""
KIND_AND_NUMBER = ("kind", *(column.name for column in fields(Measured)))
"""Its head."""


@dataclass(frozen=True)
class Noted:
    """One number of a table that a stage wrote."""

    table: str
    row: str
    """The first cell of its row."""
    column: str
    seed: int
    value: float
    """In the unit that its column names."""


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown, whose cells are texts: names and labels are the data's."""
    texts = ([literal(cell) for cell in cells] for cells in rows)
    return markdown.table([literal(cell) for cell in head], texts)


def kind_rows(shares: Sequence[Measured], differences: Sequence[Measured]) -> Iterator[tuple[object, ...]]:
    """Rows of a CSV file, whose head is `KIND_AND_NUMBER`."""
    for kind, numbers in zip(KINDS, (shares, differences), strict=True):
        yield from ((kind, *astuple(number)) for number in numbers)


def write_rows(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file, whole or not at all."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)


def seeds_table(numbers: Sequence[Measured], corner: str, form: str) -> str:
    """A row for each `Measured.row`: its problems, a value with its interval a seed, and the seeds' range.

    Args:
        numbers: of one table; a seed may lack rows.
        corner: head of the first column: what is measured, in which unit.
        form: format of a number in percent.
    """
    seeds = list(dict.fromkeys(number.seed for number in numbers))
    head = [corner, "problems", *(f"seed {seed}" for seed in seeds), *(["range"] if len(seeds) > 1 else [])]
    rows = []
    for row in dict.fromkeys(number.row for number in numbers):
        found = {number.seed: number for number in numbers if number.row == row}
        problems = sorted({number.problems for number in found.values()})
        cells = [_cell(found[seed], form) if seed in found else "" for seed in seeds]
        values = sorted(100 * number.value for number in found.values())
        ends = [f"{form.format(values[0])} to {form.format(values[-1])}"] if len(seeds) > 1 else []
        rows.append([row, ", ".join(map(str, problems)), *cells, *ends])
    return table(head, rows)


def half_widths(differences: Sequence[Measured]) -> dict[str, float]:
    """Half the widest interval of differences over all problems, and of those over some of them, in points.

    What is smaller can't all be told from chance.
    """
    most = max(one.problems for one in differences)
    found: dict[str, float] = {}
    for one in differences:
        where = OF_ALL if one.problems == most else OF_SOME
        found[where] = max(found.get(where, 0.0), 50 * (one.high - one.low))
    return found


def resolved(differences: Sequence[Measured]) -> str:
    """The smallest difference that these can tell from chance."""
    widths = half_widths(differences)
    beside = f", or {widths[OF_SOME]:.1f} of some of them," if OF_SOME in widths else ""
    least = f"{widths[OF_ALL]:.1f} points of {max(one.problems for one in differences):,} problems"
    return f"Differences below {least}{beside} can't all be told from chance."


def arms_table(files: dict[int, Path]) -> str:
    """What the verb `arms` wrote under each seed.

    Raises:
        UserError: a file is not there, or is of another form.
    """
    head = [
        "arm",
        "seed",
        "right of its problems",
        "attempts",
        "tokens",
        "kept of all",
        "in the flow's stream",
    ]
    rows: list[list[Any]] = []
    for seed, file in files.items():
        if not file.is_file():
            raise UserError(f"the report's arms {file} does not exist: give the arms.json of `arms`.")
        try:
            rows += _arms(read_json(file, "the arms.json of `arms`"), seed)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{file} is no arms.json of `arms` ({error!r}): run `arms` again.") from error
    return table(head, rows)


def _arms(facts: Any, seed: int) -> Iterator[list[Any]]:
    """A row for each arm."""
    kept = f"{facts['problems']['kept']} of {facts['problems']['offered']}"
    overlap = facts["in_the_flow_s_stream"]
    stated = "unknown" if overlap is None else overlap["count"]
    for name, arm in facts["arms"].items():
        share = f"{arm['right']} of {arm['problems']} ({100 * arm['acceptance']:.1f} %)"
        yield [name, seed, share, arm["attempts"], arm["generated_tokens"], kept, stated]


def csv_table(files: dict[int, Path]) -> str:
    """Tables that a stage wrote under each seed, below each other, with a column of the seed.

    Raises:
        UserError: a file is not there, or is no table.
    """
    rows: list[list[str]] = []
    head: list[str] = []
    for seed, file in files.items():
        head, *own = _read_csv(file)
        rows += [[str(seed), *row] for row in own]
    return table(["seed", *head], rows)


def noted(title: str, files: dict[int, Path]) -> Iterator[Noted]:
    """The finite numbers of tables that a stage wrote under each seed.

    Raises:
        UserError: a file is not there, or is no table.
    """
    for seed, file in files.items():
        head, *rows = _read_csv(file)
        for row in rows:
            for column, cell in list(zip(head, row, strict=False))[1:]:
                value = _number(cell)
                if value is not None:
                    yield Noted(title, row[0], column, seed, value)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _read_csv(file: Path) -> list[list[str]]:
    """The rows, of which there is one."""
    if not file.is_file():
        raise UserError(f"the report's table {file} does not exist: name a CSV file that a stage writes.")
    try:
        rows = list(csv.reader(line for _, line in text_lines(file)))
    except csv.Error as error:
        raise UserError(f"{file} is no CSV file ({error}): name one that a stage writes.") from error
    if not rows:
        raise UserError(f"{file} is empty: name a CSV file that has at least a head.")
    return rows


def _cell(number: Measured, form: str) -> str:
    value, low, high = (form.format(100 * part) for part in (number.value, number.low, number.high))
    p = "" if number.p is None else f", p = {number.p:.2g}"
    return f"{value} ({low} to {high}){p}"

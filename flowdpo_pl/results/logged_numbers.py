"""The numbers that a run has logged: `metrics.csv`, read while it grows or at its end."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.errors import UserError

METRICS = "metrics.csv"
_ANY_RUN_HAS = ("progressive_accuracy", "train/loss")
"""A column of each kind of training: what stands before it is the logger's `prefix`."""


@dataclass(frozen=True)
class LoggedNumbers:
    """Rows of `metrics.csv`, in order."""

    axis: str
    """The first column: `problems_seen`, or `step` of fine-tuning."""
    rows: Sequence[Mapping[str, float]]
    """Each without what its row leaves open, and without what is not finite."""

    @property
    def names(self) -> list[str]:
        """Of all numbers that a row has."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def with_all(self, *names: str) -> list[Mapping[str, float]]:
        """The rows that have all these numbers."""
        return [row for row in self.rows if all(name in row for name in names)]


def read_logged(folder: Path) -> LoggedNumbers | None:
    """The numbers of the run in this folder; a row that is still being written is left out.

    Returns:
        None where there is no `metrics.csv`, or none with a row.

    Raises:
        UserError: the file is of another form.
    """
    file = folder / METRICS
    if not file.is_file():
        return None
    try:
        whole = list(csv.reader(line for _, line in text_lines(file) if line.endswith("\n")))
        names = _without_prefix(whole[0]) if whole else []
        numbers = [_numbers(names, row) for row in whole[1:]]
    except (ValueError, csv.Error) as error:
        raise UserError(f"{file} is no table of a run's numbers ({error}): move it away.") from error
    return LoggedNumbers(names[0], numbers) if numbers else None


def _numbers(names: Sequence[str], row: Sequence[str]) -> dict[str, float]:
    numbers = {name: float(cell) for name, cell in zip(names, row, strict=False) if cell}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _without_prefix(header: Sequence[str]) -> list[str]:
    known = (name.removesuffix(one) for name in header for one in _ANY_RUN_HAS if name.endswith(one))
    prefix = next(known, "")
    return [name.removeprefix(prefix) for name in header]

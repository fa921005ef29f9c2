"""A run cut into stretches of its rows, as many as a chart has room for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True)
class Stretch(Generic[Row]):
    """Some rows that follow each other."""

    start: float
    """Where the stretch begins on the axis: the end of the one before."""
    end: float
    rows: Sequence[Row]

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2

    @property
    def width(self) -> float:
        return self.end - self.start


def stretches(rows: Sequence[Row], at: Callable[[Row], float], most: int) -> Iterator[Stretch[Row]]:
    """The rows in at most so many stretches of about the same number of rows.

    Args:
        rows: in order.
        at: where a row ends on the axis, ascending.
        most: stretches.
    """
    start, count = 0.0, min(most, len(rows))
    for number in range(count):
        part = rows[number * len(rows) // count : (number + 1) * len(rows) // count]
        end = at(part[-1])
        yield Stretch(start, end, part)
        start = end


def total(rows: Sequence[Mapping[str, float]], name: str) -> float:
    """The sum of a number that adds up; what a row lacks is 0."""
    return sum(row.get(name, 0.0) for row in rows)


def mean(rows: Sequence[Mapping[str, float]], name: str, weight: str) -> float | None:
    """The mean of a number, by what it is a mean over; None over nothing."""
    weighed = [(row[name], row.get(weight, 0.0)) for row in rows if name in row]
    weights = sum(each for _, each in weighed)
    return sum(value * each for value, each in weighed) / weights if weights else None


def share(part: float, whole: float) -> float | None:
    """Percent; None of nothing."""
    return 100 * part / whole if whole else None

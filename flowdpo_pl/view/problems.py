"""What a page shows: problems with all that is said of each, as JSON, read one at a time."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

from flowdpo_pl.types import Problem, Verdict
from flowdpo_pl.visible import visible, visible_line

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """One problem of a page."""

    number: int
    """Its place in the run, from 1: what a link to it names."""
    id: str
    data: Json
    """As the page's script reads it; every text is `visible`."""


class Problems(Protocol):
    """A run's problems, in their order."""

    kind: ClassVar[str]
    """What the page's script draws them as: `trees` or `answers`."""

    @property
    def count(self) -> int: ...

    def read(self, numbers: Container[int]) -> Iterator[Shown]:
        """Those of these numbers, one at a time, in order."""

    def told(self) -> Json:
        """What the script needs besides, once the problems have been read."""


def problem_data(number: int, problem: Problem) -> Json:
    """What trees and answers have in common."""
    return {
        "number": number,
        "id": visible_line(problem.id),
        "question": visible(problem.question),
        "gold": visible(problem.gold),
        "labels": [f"{visible_line(name)}: {visible_line(value)}" for name, value in problem.labels],
    }


def ending(verdict: Verdict) -> list[Any]:
    """Whether right (1 or 0), the score, the answer that is read in it, and why it was not judged."""
    extracted = None if verdict.extracted is None else visible(verdict.extracted)
    error = None if verdict.error is None else visible_line(verdict.error)
    return [int(verdict.correct), verdict.score, extracted, error]

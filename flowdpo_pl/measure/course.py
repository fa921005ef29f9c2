"""The course of a run: its counts in a few stretches of batches, the first batch alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from flowdpo_pl.measure.intervals import Interval, wilson

CERTAIN = 0.99
"""Coverage of the intervals: a sentence about a run is said rarely or not at all, not by chance."""


@dataclass(frozen=True)
class Share:
    """A share of counted outcomes, with Wilson's interval.

    What is counted several times a problem, such as its endings, mostly agrees: it is worth one outcome a
    problem.
    """

    part: float
    whole: float
    problems: float
    """That the outcomes are of."""

    @property
    def interval(self) -> Interval:
        return self.interval_at(CERTAIN)

    def interval_at(self, confidence: float) -> Interval:
        if self.whole < 1:
            return Interval(0.0, 1.0)
        groups = max(1.0, min(self.whole, self.problems))
        part, whole = min(self.part, self.whole), int(self.whole)
        return wilson(part * whole / self.whole, whole, confidence, squared_sizes=whole * whole / groups)

    @property
    def low(self) -> float:
        return self.interval.low

    @property
    def high(self) -> float:
        return self.interval.high

    @property
    def told(self) -> str:
        return f"{self.part / self.whole:.1%}" if self.whole else "unknown"


@dataclass(frozen=True)
class Stretch:
    """Some batches, added up."""

    sums: Mapping[str, float]
    """By name in logs; means stand as sums, `{name}/sum`."""

    def of(self, *names: str) -> float:
        """The sum of these counts; 0 where nothing was counted."""
        return sum(self.sums.get(name, 0.0) for name in names)

    def share(self, part: str, *whole: str) -> Share:
        return self.share_of(self.of(part), self.of(*whole))

    def share_of(self, part: float, whole: float) -> Share:
        return Share(part, whole, self.of("problems"))

    def mean(self, name: str, over: str) -> float:
        """Of a number that was weighed by a count; 0 without any."""
        weight = self.of(over)
        return self.of(f"{name}/sum") / weight if weight else 0.0


@dataclass(frozen=True)
class Course:
    """A run so far."""

    stretches: tuple[Stretch, ...]
    """In order. The first is the first batch, which is played by the agents as they began."""
    expected: int | None = None
    """Problems at which the run ends, None if nobody knows."""

    @cached_property
    def whole(self) -> Stretch:
        return added(self.stretches)

    @cached_property
    def latest(self) -> Stretch:
        """About the second half; all of a run of a few batches."""
        return added(self.stretches[len(self.stretches) // 2 :])

    @property
    def problems(self) -> int:
        return int(self.whole.of("problems"))

    @cached_property
    def agents(self) -> tuple[str, ...]:
        return tuple(name.removesuffix("/pairs") for name in self.whole.sums if name.endswith("/pairs"))

    @property
    def learners(self) -> tuple[str, ...]:
        return tuple(agent for agent in self.agents if f"{agent}/updates_set_aside" in self.whole.sums)

    @property
    def compared(self) -> tuple[str, ...]:
        """The learners whose margin is known: a loss may need no reference."""
        return tuple(agent for agent in self.learners if f"{agent}/margin/sum" in self.whole.sums)


def added(stretches: Sequence[Stretch]) -> Stretch:
    names = dict.fromkeys(name for stretch in stretches for name in stretch.sums)
    return Stretch({name: sum(stretch.of(name) for stretch in stretches) for name in names})

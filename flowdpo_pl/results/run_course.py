"""The course of a run in a few stretches, from the numbers of its batches; kept across resumes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from flowdpo_pl.measure.course import Course, Stretch
from flowdpo_pl.measure.diagnosis import diagnose
from flowdpo_pl.measure.diagnosis.rule import Finding
from flowdpo_pl.results.batch_numbers import is_summed

__all__ = ["Finding", "RunCourse", "sums_of"]

_MOST = 32
"""Stretches that are kept; when there are more, each two neighbours become one."""
_WEIGHED_BY = {"margin": "pairs", "chosen_shift": "pairs"}
"""Means that an agent's update gives, by what they are means over; unknown without pairs or reference."""


class RunCourse:
    """Adds up a run's numbers, a stretch of batches at a time; the first batch stands alone."""

    def __init__(self) -> None:
        self._stretches: list[dict[str, float]] = []
        self._batches_each = 1

    def state_dict(self) -> dict[str, Any]:
        return {"stretches": [dict(sums) for sums in self._stretches], "batches_each": self._batches_each}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._stretches = [dict(sums) for sums in state_dict["stretches"]]
        self._batches_each = state_dict["batches_each"]

    def add(self, values: Mapping[str, float]) -> None:
        """Take in the numbers of a batch, by their names in logs."""
        numbers = sums_of(values)
        stretches = self._stretches
        if len(stretches) > 1 and stretches[-1]["batches"] < self._batches_each:
            _into(stretches[-1], numbers)
        else:
            stretches.append(numbers)
        if len(stretches) > _MOST:
            first, rest = stretches[0], stretches[1:]
            for one, two in zip(rest[0::2], rest[1::2], strict=False):
                _into(one, two)
            self._stretches = [first, *rest[0::2]]
            self._batches_each *= 2

    def findings(self, expected: int | None) -> list[Finding]:
        """What keeps the run from learning, causes first; `expected` as in `seen`."""
        return diagnose(self.seen(expected))

    def seen(self, expected: int | None) -> Course:
        """The course so far; `expected`: problems at which the run ends, None if nobody knows."""
        return Course(tuple(Stretch(dict(sums)) for sums in self._stretches), expected)


def sums_of(values: Mapping[str, float]) -> dict[str, float]:
    """What adds up of a batch: counts as they are, means times what they are means over (`{name}/sum`)."""
    sums = {"batches": 1.0, "problems": values.get("problems", 0.0)}
    for name, value in values.items():
        agent, _, kind = name.rpartition("/")
        if is_summed(name):
            sums[name] = value
        elif kind in _WEIGHED_BY:
            if math.isfinite(value):
                sums[f"{name}/sum"] = value * values.get(f"{agent}/{_WEIGHED_BY[kind]}", 0.0)
        elif kind == "updates_set_aside":
            sums[name] = value
    mass = values.get("choice_mass", math.nan)
    if math.isfinite(mass):
        sums |= {"choice_mass/sum": mass * sums["problems"], "choice_mass/problems": sums["problems"]}
    return sums


def _into(total: dict[str, float], more: Mapping[str, float]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0.0) + value

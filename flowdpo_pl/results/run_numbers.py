"""The numbers of a whole run, from those of its batches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from flowdpo_pl.measure.chooser_confusion import chooser_rates
from flowdpo_pl.results.batch_numbers import is_summed

_CHOOSER, _MARGIN = "chooser/", "/margin"


class RunNumbers:
    """Adds up what adds up, and weighs means by what they are means over; across resumes."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        """Of the numbers that add up (`is_summed`), by name."""
        self._weighed: dict[str, list[float]] = {}
        """By name: the sum of weight times mean, and the sum of weights."""

    def state_dict(self) -> dict[str, Any]:
        return {"sums": dict(self.sums), "weighed": {name: list(two) for name, two in self._weighed.items()}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.sums = dict(state_dict["sums"])
        self._weighed = {name: list(two) for name, two in state_dict["weighed"].items()}

    def add(self, values: Mapping[str, float]) -> None:
        """Take in the numbers of a batch, by their names in logs."""
        for name, value in values.items():
            if is_summed(name):
                self.sums[name] = self.sums.get(name, 0.0) + value
            elif name.endswith(_MARGIN):
                self._weigh(name, value, values.get(f"{name.removesuffix(_MARGIN)}/pairs", 0.0))
        if "chunks_per_answer" in values:
            self._weigh("chunks_per_answer", values["chunks_per_answer"], values["problems"])

    def _weigh(self, name: str, mean: float, weight: float) -> None:
        if weight and math.isfinite(mean):
            total, weights = self._weighed.get(name, [0.0, 0.0])
            self._weighed[name] = [total + mean * weight, weights + weight]

    @property
    def margins(self) -> dict[str, float]:
        """By agent that has learnt: mean margin of the run's pairs, each when it was learnt."""
        return {
            name.removesuffix(_MARGIN): total / weights
            for name, (total, weights) in self._weighed.items()
            if name.endswith(_MARGIN)
        }

    @property
    def chunks_per_answer(self) -> float:
        """Mean over the run's main chains; nan without any."""
        total, weights = self._weighed.get("chunks_per_answer", (0.0, 0.0))
        return total / weights if weights else math.nan

    @property
    def chooser(self) -> dict[str, float]:
        """Counts and rates of what the chooser said (keys as in logs without `chooser/`); empty if none was
        asked."""
        counts = {name: value for name, value in self.sums.items() if name.startswith(_CHOOSER)}
        if not any(value for name, value in counts.items() if name.startswith(f"{_CHOOSER}nodes/")):
            return {}
        said = {name: int(count) for name, count in counts.items()} | chooser_rates(counts)
        return {name.removeprefix(_CHOOSER): value for name, value in said.items()}

"""Progress in problems, which is what a flow's run is measured in."""

from __future__ import annotations

from typing import Any

from callbacks.screen.progress_line import ProgressLine
from callbacks.watching.batch_values import BatchValues, pairs_by_agent, tokens_per_second
from callbacks.watching.pace import Pace
from callbacks.watching.play_callback import PlayCallback
from callbacks.watching.watched_modules import PlayedModule


class FlowProgressBar(PlayCallback, ProgressLine):
    """Problems, time left, problems and tokens a second (these of play), accuracy of the latest problems and
    over all, pairs by agent.

    On a terminal or in a notebook a bar; elsewhere (a log file) a plain line every `every_n_problems`.

    Args:
        every_n_problems: Problems between two lines where no bar can be shown.
    """

    writes = False

    def __init__(self, every_n_problems: int = 160) -> None:
        super().__init__(Pace(every_n_problems), "problems")
        self._pairs: dict[str, int] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"pairs": self._pairs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._pairs = dict(state_dict["pairs"])

    def play_started(self, module: PlayedModule, seen: int) -> None:
        if seen == 0:
            self._pairs = {}
        self.start(self.verb, seen, module.problems_expected)

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        for agent, number in pairs_by_agent(values).items():
            self._pairs[agent] = self._pairs.get(agent, 0) + number
        self.show(
            module.problems_seen,
            module.problems_expected,
            f"{tokens_per_second(values):,.0f} tokens/s",
            *self._accuracies(values),
            *self._mined(),
        )

    def play_ended(self, module: PlayedModule, stopped_by: BaseException | None) -> None:
        self.stop()

    def _accuracies(self, values: BatchValues) -> list[str]:
        if self.verb == "validate":  # a flow that stays as it is has no latest accuracy
            return [f"right {values['progressive_accuracy']:.1%}"]
        return [
            f"right {values['window_accuracy']:.1%}",
            f"over all {values['progressive_accuracy']:.1%}",
        ]

    def _mined(self) -> list[str]:
        """Nothing for `validate`, which mines none."""
        pairs = ", ".join(f"{agent} {number:,}" for agent, number in self._pairs.items())
        return [f"pairs {pairs}"] if self.verb == "fit" else []

"""Progress in problems, which is what a flow's run is measured in."""

from __future__ import annotations

from typing import Any

from callbacks.batch_values import BatchValues, pairs_by_agent, tokens_per_second
from callbacks.play_callback import PlayCallback
from callbacks.problem_bar import ProblemBar
from callbacks.watched_modules import PlayedModule


class FlowProgressBar(PlayCallback, ProblemBar):
    """Problems, accuracy over all and over the window, pairs by agent, tokens a second of play.

    On a terminal a bar; elsewhere (a log file) a plain line every `every_n_problems`.

    Args:
        every_n_problems: Problems between two lines where there is no terminal.
    """

    writes = False

    def __init__(self, every_n_problems: int = 160) -> None:
        super().__init__(every_n_problems)
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
        pairs = ", ".join(f"{agent} {number}" for agent, number in self._pairs.items())
        self.show(
            module.problems_seen,
            module.problems_expected,
            f"right {values['progressive_accuracy']:.1%}, latest {values['window_accuracy']:.1%} | "
            f"pairs {pairs} | {tokens_per_second(values):.0f} tokens/s",
        )

    def play_ended(self, module: PlayedModule, stopped_by: BaseException | None) -> None:
        self.stop()

"""Progress in problems, which is what a flow's run is measured in."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import ProgressBar

from callbacks.batch_values import BatchValues, pairs_by_agent, tokens_per_second
from callbacks.pace import Pace
from callbacks.play_callback import PlayCallback
from callbacks.played_module import PlayedModule
from callbacks.problem_bar import ProblemBar


class FlowProgressBar(PlayCallback, ProgressBar):
    """Problems, accuracy over all and over the window, pairs by agent, tokens a second of play.

    On a terminal a bar; elsewhere (a log file) a plain line every `every_n_problems`.

    Args:
        every_n_problems: Problems between two lines where there is no terminal.
    """

    def __init__(self, every_n_problems: int = 160) -> None:
        super().__init__()
        self._pace = Pace(every_n_problems)
        self._enabled = True
        self._pairs: dict[str, int] = {}
        self._bar: ProblemBar | None = None

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        import rich

        rich.get_console().print(*args)

    def state_dict(self) -> dict[str, Any]:
        return {"pairs": self._pairs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._pairs = dict(state_dict["pairs"])

    def play_started(self, module: PlayedModule, seen: int) -> None:
        if seen == 0:
            self._pairs = {}
        if self._enabled:
            self._bar = ProblemBar(self._pace, self.verb, seen, module.max_problems)

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        for agent, number in pairs_by_agent(values).items():
            self._pairs[agent] = self._pairs.get(agent, 0) + number
        if self._bar is not None:
            self._bar.show(module.problems_seen, f"{self.verb} {self._line(module, values)}")

    def play_ended(self, module: PlayedModule, stopped_by: BaseException | None) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _line(self, module: PlayedModule, values: BatchValues) -> str:
        total = "" if module.max_problems is None else f"/{module.max_problems}"
        pairs = ", ".join(f"{agent} {number}" for agent, number in self._pairs.items())
        return (
            f"{module.problems_seen}{total} problems | "
            f"right {values['progressive_accuracy']:.1%}, latest {values['window_accuracy']:.1%} | "
            f"pairs {pairs} | {tokens_per_second(values):.0f} tokens/s"
        )

"""The run's main product: accuracy over the problems played."""

from __future__ import annotations

import math
from pathlib import Path

from lightning.pytorch.trainer.states import TrainerFn

from callbacks.files.batch_log import cut_to
from callbacks.watching.batch_values import BatchValues, pairs_by_agent
from callbacks.watching.pace import Pace
from callbacks.watching.play_callback import PlayCallback
from callbacks.watching.watched_modules import PlayedModule
from flowdpo_pl.results.atomic_writes import append_lines, remove
from flowdpo_pl.results.curves import CURVES, draw_measured, draw_run, read_curve

_ACCURACIES = tuple(f"{curve}_{part}" for curve in CURVES for part in ("accuracy", "low", "high"))


class AccuracyCurve(PlayCallback):
    """Writes `accuracy_curve.csv` after every batch and draws it as `accuracy_curve.png`.

    `validate` plays a flow that stays as it is: its picture is a bar, the accuracy over all its problems.

    Columns: `problems`, then `progressive_` and `window_` each with `accuracy`, `low`, `high`, then the
    number of preference pairs of the batch by agent (`answer_pairs`, `stop_pairs`). On resume, later rows
    are removed.

    Args:
        every_n_problems: Problems between two drawings; it is drawn at the end of the run as well.
    """

    files = ("accuracy_curve.csv", "accuracy_curve.png")

    def __init__(self, every_n_problems: int = 160) -> None:
        self._pace = Pace(every_n_problems)
        self._measured = (math.nan, math.nan, math.nan)
        """By `validate` so far: accuracy, and the low and high ends of its interval."""

    @property
    def table(self) -> Path:
        return self.folder / "accuracy_curve.csv"

    @property
    def picture(self) -> Path:
        return self.folder / "accuracy_curve.png"

    def play_started(self, module: PlayedModule, seen: int) -> None:
        self._pace.start(seen)
        cut_to(self.table, seen, _position)
        if seen == 0:
            remove(self.table)

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        pairs = pairs_by_agent(values)
        lines = []
        if not self.table.exists():
            lines.append(",".join(["problems", *_ACCURACIES, *(f"{agent}_pairs" for agent in pairs)]))
        accuracies = (f"{values[name]:.6f}" for name in _ACCURACIES)
        lines.append(",".join([str(module.problems_seen), *accuracies, *map(str, pairs.values())]))
        append_lines(self.table, lines)
        if self.verb == TrainerFn.VALIDATING:
            self._measured = (values["accuracy"], values["low"], values["high"])
        if self._pace.due(module.problems_seen):
            self._draw(module)

    def play_ended(self, module: PlayedModule, stopped_by: BaseException | None) -> None:
        if self.table.exists():
            self._draw(module)

    def _draw(self, module: PlayedModule) -> None:
        if self.verb == TrainerFn.VALIDATING:
            draw_measured(*self._measured, module.problems_seen, self.picture)
        else:
            draw_curve(self.table, self.picture)


def draw_curve(table: Path, picture: Path) -> None:
    """Draws the CSV of an `AccuracyCurve` as a PNG: both accuracies with their intervals."""
    draw_run(read_curve(table, "this run", seed=0), picture)


def _position(line: str) -> int:
    first = line.partition(",")[0]
    return 0 if first == "problems" else int(first)

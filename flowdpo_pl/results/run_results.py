"""What a run of `fit` has left in its folder, as plain objects and paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.curves import read_curve
from flowdpo_pl.results.foreign_json import read_json
from flowdpo_pl.results.run_trees import RunTrees
from flowdpo_pl.results.trained_run import LAST, TrainedRun
from flowdpo_pl.types import Agent, RolloutTree


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy after a batch; shares of 1, each with its 95 % interval."""

    problems_seen: int
    accuracy: float
    """Over all problems so far, each answered before it was learnt from."""
    low: float
    high: float
    window_accuracy: float
    """Over the latest problems (`window` of FlowDPOModule)."""
    window_low: float
    window_high: float


@dataclass(frozen=True)
class RunResults:
    """The results of a run, made in Python or on the command line, running or finished.

    Args:
        folder: of the run, such as runs/mine.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder).expanduser())

    @property
    def curve(self) -> list[CurvePoint]:
        """The accuracy curve, a point a batch.

        Raises:
            UserError: the run kept none (`callbacks.AccuracyCurve` does).
        """
        read = read_curve(self._kept("accuracy_curve.csv", "AccuracyCurve"), self.folder.name, 0)
        columns = zip(read.problems, *read.of("progressive"), *read.of("window"), strict=True)
        return [CurvePoint(*numbers) for numbers in columns]

    @property
    def summary(self) -> dict[str, Any]:
        """The numbers of the whole run, as `summary.json` has them.

        Raises:
            UserError: the run kept none, or has not ended (`callbacks.RunSummary` writes it); or it can't be
                read.
        """
        file = self._kept("summary.json", "RunSummary")
        known = read_json(file, "the summary of a run")
        if not isinstance(known, dict):
            raise UserError(f"{file} is no summary of a run, which is an object: give another run.")
        return known

    def trees(self) -> Iterator[RolloutTree]:
        """Every rollout tree, read one at a time, in the order of the problems.

        Raises:
            UserError: the run kept none (`callbacks.TreeLog` does).
        """
        return (placed.tree for placed in RunTrees(TrainedRun(self.folder, {}).trees(), 0.0).read())

    def adapters(self, which: str = LAST) -> dict[Agent, Path]:
        """Folders of the adapters in PEFT's format, by agent.

        Args:
            which: `last`, `best`, or a numbered one such as `problems_000160`.

        Raises:
            UserError: the run kept none (`callbacks.AdapterCheckpoint` does), or none of that name.
        """
        found = TrainedRun(self.folder, {}).adapters(which)
        return {agent: Path(place) for agent, place in found.items()}

    def _kept(self, name: str, by: str) -> Path:
        file = self.folder / name
        if not file.is_file():
            raise UserError(f"{self.folder} has no {name}: give its run the callback {by}.")
        return file

"""What a report reads of one run, finished or growing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.curves import Curve, read_curve
from flowdpo_pl.results.logged_numbers import LoggedNumbers, read_logged
from flowdpo_pl.results.run_course import RunCourse
from flowdpo_pl.results.run_folder import read_mark
from flowdpo_pl.results.run_trees import RunTrees
from flowdpo_pl.results.scores import Score, scores_of
from flowdpo_pl.results.trained_run import TrainedRun
from flowdpo_pl.types import Agent

CURVE = "accuracy_curve.csv"
_OUTCOME = "/pairs"
_PLACES = ("seed_everything", "trainer", "weights_only")
"""Parts of a config that runs of one experiment may differ in."""


@dataclass(frozen=True)
class ReportedRun:
    """A run of `fit`."""

    name: str
    """What it is called on the page."""
    run: TrainedRun
    logged: LoggedNumbers | None
    curve: Curve | None
    trees: RunTrees | None

    @classmethod
    def at(cls, folder: Path, name: str) -> ReportedRun:
        """Read the folder, but for its trees.

        Raises:
            UserError: it is no run of `fit`, has nothing to show yet, or holds a file of another form.
        """
        run = TrainedRun.at(folder)
        if run.is_exported:
            raise UserError(f"{folder} is what `export` has made: give the folder of the run itself.")
        logged, trees = read_logged(run.folder), RunTrees.at(run.folder)
        if logged is None and trees is None and not (run.folder / CURVE).is_file() and not run.summary():
            raise UserError(
                f"{folder} has nothing to report yet: no metrics.csv, {CURVE}, trees.jsonl or summary.json; "
                "let its first batch end."
            )
        return cls(name, run, logged, _curve(run, name, logged), trees)

    @property
    def folder(self) -> Path:
        return self.run.folder

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """Of its end; empty where it has not ended."""
        return self.run.summary()

    @property
    def seed(self) -> int:
        return _seed(self.run)

    @property
    def started(self) -> str:
        """In local time of where it ran; empty if nobody knows."""
        mark = read_mark(self.folder)
        return mark.started if mark is not None else ""

    @property
    def agents(self) -> list[Agent]:
        """Who has logged pairs, in the order of the flow's prompts."""
        names = self.logged.names if self.logged is not None else []
        return [name.removesuffix(_OUTCOME) for name in names if name.endswith(_OUTCOME)]

    @property
    def experiment(self) -> str:
        """The same for runs that differ in nothing but seed and folder, such as a study's stage."""
        rest = {key: value for key, value in self.run.config.items() if key not in _PLACES}
        return json.dumps(rest, sort_keys=True, default=str).replace(f"/seed{self.seed}/", "/seed/")

    def findings(self) -> list[tuple[str, str]] | None:
        """What limits learning, causes first, each with what to try; None where nobody has looked.

        As the summary says at the run's end; before that, from what it has logged.
        """
        if self.summary:
            return _told(self.summary.get("findings"))
        if self.logged is None or not (rows := self.logged.with_all("problems", "seconds/play")):
            return None
        course = RunCourse()
        for row in rows:
            course.add(row)
        expected = self.run.settings.get("max_problems")
        return [(one.sentence, one.advice) for one in course.findings(expected)]

    def scores(self) -> list[Score]:
        """Tests of its adapters, in its folder and beside it."""
        from flowdpo_pl.model.lora import adapter_fingerprint

        try:
            adapters = self.run.adapters()
            prints = {agent: adapter_fingerprint(Path(place)) for agent, place in adapters.items()}
        except UserError:  # none yet, or cut off
            return []
        return scores_of(self.folder, prints)


def name_of(runs: Sequence[ReportedRun]) -> str:
    """What runs of one experiment are called together: a study's stage, or as the first of them."""
    stages = {run.folder.name for run in runs}
    return stages.pop() if len(runs) > 1 and len(stages) == 1 else runs[0].name


def _curve(run: TrainedRun, name: str, logged: LoggedNumbers | None) -> Curve | None:
    file = run.folder / CURVE
    if file.is_file() and file.read_bytes().count(b"\n") > 1:  # more than a head
        return read_curve(file, name, _seed(run))
    parts = [f"{kind}_{part}" for kind in ("progressive", "window") for part in ("accuracy", "low", "high")]
    rows = logged.with_all("problems_seen", *parts) if logged is not None else []
    rows = [row for row in rows if all(0 <= row[part] <= 1 for part in parts)]
    if not rows:
        return None
    problems = [int(row["problems_seen"]) for row in rows]
    return Curve(name, _seed(run), problems, {part: [row[part] for row in rows] for part in parts})


def _told(findings: Any) -> list[tuple[str, str]] | None:
    """A summary's findings; None where it has none, or of another form."""
    try:
        told = [(one["sentence"], one["try"]) for one in findings]
    except (TypeError, KeyError, IndexError):
        return None
    return told if all(isinstance(words, str) for one in told for words in one) else None


def _seed(run: TrainedRun) -> int:
    seed = run.config.get("seed_everything")
    return seed if isinstance(seed, int) else 0

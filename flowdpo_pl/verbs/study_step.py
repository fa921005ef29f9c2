"""A stage of a study under one seed: its folder, its command, and where it stands."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.foreign_json import read_json
from flowdpo_pl.verbs.stage_mark import StageMark, read_stage_mark, write_stage_mark
from flowdpo_pl.verbs.study_stage import Stage

PYTHON = (sys.executable,)
CHECKPOINTS = "checkpoints/*.ckpt"
"""What an interrupted `fit` goes on from."""


class State(StrEnum):
    """Where a stage stands."""

    DONE = "done"
    NEW = "new"
    INTERRUPTED = "interrupted"
    CHANGED = "changed"


@dataclass(frozen=True)
class Step:
    """A stage under one seed."""

    name: str
    stage: Stage
    seed: int
    here: Path
    folders: Mapping[str, Path]
    """Of all stages under this seed."""
    fingerprint: str

    @property
    def title(self) -> str:
        return f"stage '{self.name}' of seed {self.seed}"

    @property
    def log(self) -> Path:
        return self.here / "log.txt"

    @cached_property
    def needs(self) -> frozenset[Path]:
        """Folders of the stages that it names."""
        return frozenset(self.folders[name] for name in self.stage.needs())

    @property
    def seconds(self) -> float:
        """Of all its runs."""
        mark = read_stage_mark(self.here)
        return 0.0 if mark is None else mark.seconds

    @property
    def duration(self) -> str:
        """The same, as hours, minutes and seconds."""
        return str(timedelta(seconds=round(self.seconds)))

    @property
    def ended(self) -> str | None:
        """How its own summary says it ended; None: there is no summary."""
        folder = self.here if self.stage.verb in ("", "fit") else self.here / self.stage.verb
        file = folder / "summary.json"
        if not file.exists():
            return None
        summary = read_json(file, "the summary of a run")
        return str(summary.get("ended")) if isinstance(summary, dict) else "its summary is none"

    def mark(self, done: bool, seconds: float, command: list[str]) -> None:
        write_stage_mark(self.here, StageMark(self.fingerprint, done, round(seconds, 1), command))

    @property
    def state(self) -> State:
        mark = read_stage_mark(self.here)
        if mark is None:
            return State.NEW
        if mark.fingerprint != self.fingerprint:
            return State.CHANGED
        return State.DONE if mark.done else State.INTERRUPTED

    def command(self) -> list[str]:
        """Interpreter and words; an interrupted `fit` goes on from its checkpoint."""
        return [*PYTHON, *self.words()]

    def words(self, planned: bool = False) -> list[str]:
        """The command behind the interpreter.

        Args:
            planned: values of stages that have not run yet stay placeholders.

        Raises:
            UserError: a value of an earlier stage is not there, and none is planned.
        """
        words = [*self.stage.program, *self.stage.arguments_of(self.folders, self.here, self.seed, planned)]
        if self.stage.verb == "fit" and self.state == State.INTERRUPTED and any(self.here.glob(CHECKPOINTS)):
            words.append(f"--ckpt_path={self.here}")
        return words


def require_different(seeds: Sequence[int]) -> None:
    """Refuse a seed that is named twice: its two runs would write into one folder.

    Raises:
        UserError: it is.
    """
    if twice := [seed for seed, times in Counter(seeds).items() if times > 1]:
        raise UserError(f"seeds names {twice[0]} more than once: name each seed once.")


def steps_of(stages: Mapping[str, Stage], folder: Path, seed: int) -> Iterator[Step]:
    """All stages under one seed, in their order, in folders of `folder`."""
    folders = {name: folder / name for name in stages}
    fingerprints: dict[str, str] = {}
    for name, stage in stages.items():
        fingerprints[name] = stage.fingerprint(seed, fingerprints)
        yield Step(name, stage, seed, folders[name], folders, fingerprints[name])

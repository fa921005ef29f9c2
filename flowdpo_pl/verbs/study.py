"""The verb `study`: a chain of other verbs, each stage run once for each seed; then a report.

The runner knows nothing of the science, which is in the study's YAML: stages in their order, each with a
verb, a config and overrides that name earlier stages. The folder `<output>/seed<seed>/<stage>/` holds what a
stage writes, its log and `stage.json`. A finished stage runs again only if its command, its config or a stage
that it needs has changed; its old folder is then kept beside it as `<stage>.old`.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.verbs.stage_run import run_logged
from flowdpo_pl.verbs.study_report import Report, write_report
from flowdpo_pl.verbs.study_stage import Stage
from flowdpo_pl.visible import visible_line

PROGRAM = (sys.executable, "-m", "flowdpo_pl")
CHECKPOINT = Path("checkpoints") / "last.ckpt"
"""Where an interrupted `fit` leaves what it goes on from."""


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

    def marker(self) -> dict[str, Any]:
        """What `stage.json` says: `fingerprint`, `done`, `seconds` (of all its runs), `command`."""
        file = self.here / "stage.json"
        marker: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return marker

    def mark(self, done: bool, seconds: float, command: list[str]) -> None:
        facts = {
            "fingerprint": self.fingerprint,
            "done": done,
            "seconds": round(seconds, 1),
            "command": command,
        }
        with whole_file(self.here / "stage.json") as partial:
            partial.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

    @property
    def state(self) -> State:
        marker = self.marker()
        if not marker:
            return State.NEW
        if marker["fingerprint"] != self.fingerprint:
            return State.CHANGED
        return State.DONE if marker["done"] else State.INTERRUPTED

    def command(self) -> list[str]:
        """The whole command; an interrupted `fit` goes on from its checkpoint."""
        command = [*PROGRAM, self.stage.verb, *self.stage.arguments_of(self.folders, self.here, self.seed)]
        if self.stage.verb == "fit" and self.state == State.INTERRUPTED and (self.here / CHECKPOINT).exists():
            command.append(f"--ckpt_path={self.here / CHECKPOINT}")
        return command


def study(
    stages: dict[str, Stage],
    output: Path,
    seeds: list[int] = [0],  # noqa: B006 (never changed)
    report: Report | None = None,
    dry_run: bool = False,
    only: str | None = None,
) -> None:
    """Run what is not done yet, then write the report to `<output>/report/`.

    Args:
        stages: the stages by name, in their order.
        output: the study's folder.
        seeds: each is a run of all stages.
        report: what is reported; null: nothing.
        dry_run: list the stages, their state and commands, and run nothing.
        only: run this one stage alone, and no report.

    Raises:
        UserError: the study is not in order, a stage fails, or `only` needs a stage that is not done.
    """
    _require_order(stages)
    if only is not None and only not in stages:
        raise UserError(f"--only {only} is none of the stages: {', '.join(stages)}.")
    steps = [step for seed in seeds for step in _steps(stages, output / f"seed{seed}", seed)]
    if dry_run:
        for step in steps:
            command = f"{step.stage.verb} {' '.join(step.stage.configs)}  {step.stage.arguments}"
            print(f"{step.state:<12} {step.here}: {command}")
        return
    with _terminated_as_interrupted():
        for step in steps:
            if only in (None, step.name):
                _require_done(step, steps)
                _run(step)
    if report is not None and only is None:
        folders = {seed: {step.name: step.here for step in steps if step.seed == seed} for seed in seeds}
        write_report(report, folders, output / "report")


def _require_order(stages: Mapping[str, Stage]) -> None:
    """Refuse a stage that names one that does not come before it."""
    before: list[str] = []
    for name, stage in stages.items():
        if unknown := sorted(stage.needs() - set(before)):
            raise UserError(
                f"stage '{name}' names {{{unknown[0]}}}, which is no stage before it (those are {before})."
            )
        before.append(name)


def _steps(stages: Mapping[str, Stage], folder: Path, seed: int) -> Iterator[Step]:
    folders = {name: folder / name for name in stages}
    fingerprints: dict[str, str] = {}
    for name, stage in stages.items():
        fingerprints[name] = stage.fingerprint(seed, fingerprints)
        yield Step(name, stage, seed, folders[name], folders, fingerprints[name])


def _require_done(step: Step, steps: list[Step]) -> None:
    for needed in steps:
        if needed.seed == step.seed and needed.name in step.stage.needs() and needed.state != State.DONE:
            raise UserError(f"{step.title} needs '{needed.name}', which is {needed.state}: run that first.")


def _run(step: Step) -> None:
    """Run the stage unless it is done, showing how long it takes and the last line of its log."""
    import rich
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    console = rich.get_console()

    def say(what: str) -> None:
        console.print(Text(f"{step.title}: {what}"), soft_wrap=True)

    state = step.state
    if state == State.DONE:
        say(f"done before, in {_duration(step.marker()['seconds'])}")
        return
    if state == State.CHANGED:
        _set_aside(step.here)
    command = step.command()
    before = step.marker().get("seconds", 0.0)
    step.mark(False, before, command)
    if not console.is_terminal:
        say(f"runs, see {step.log}")
    start = time.monotonic()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[line]}", markup=False),
    )
    done = False
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task(step.title, total=None, line="")
            run_logged(
                command,
                step.log,
                step.title,
                lambda line: progress.update(task, line=visible_line(line[:100])),
            )
        done = True
    finally:
        step.mark(done, before + time.monotonic() - start, command)
    say(f"done in {_duration(step.marker()['seconds'])}")


def _set_aside(folder: Path) -> None:
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A request to end reaches the running stage, which saves its run."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated; the same command goes on"))
    try:
        yield
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
    finally:
        signal.signal(signal.SIGTERM, before)

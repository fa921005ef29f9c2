"""The verb `study`: a chain of other verbs, each stage run once for each seed; then a report.

The runner knows nothing of the science, which is in the study's YAML: stages in their order, each with a
verb, a config and overrides that name earlier stages. The folder `<output>/seed<seed>/<stage>/` holds what a
stage writes, its log and `stage.json`. A finished stage runs again only if its command, its config or a stage
that it needs has changed; its old folder is then kept beside it as `<stage>.old`.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from flowdpo_pl.command_line.verbs import verb_named
from flowdpo_pl.errors import Interrupted, UserError
from flowdpo_pl.results.atomic_writes import written
from flowdpo_pl.results.foreign_json import read_json
from flowdpo_pl.verbs.stage_mark import StageMark, read_stage_mark, write_stage_mark
from flowdpo_pl.verbs.stage_run import EndSignals, run_logged
from flowdpo_pl.verbs.study_plan import PlannedStage, plan_lines
from flowdpo_pl.verbs.study_report import Report, write_report
from flowdpo_pl.verbs.study_stage import Stage, Value
from flowdpo_pl.visible import visible_line

PYTHON = (sys.executable,)
FINISHED = "finished"
"""What the summary of a run says that came to its end."""
_REFUSED_AGAIN = ("validate", "test", "predict")
"""They refuse a folder in which they have finished; a `fit` goes on from its checkpoint and ends at once."""
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

    @property
    def seconds(self) -> float:
        """Of all its runs."""
        mark = read_stage_mark(self.here)
        return 0.0 if mark is None else mark.seconds

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

    def command(self, planned: bool = False) -> list[str]:
        """The whole command; an interrupted `fit` goes on from its checkpoint.

        Args:
            planned: values of stages that have not run yet stay placeholders.

        Raises:
            UserError: a value of an earlier stage is not there, and none is planned.
        """
        arguments = self.stage.arguments_of(self.folders, self.here, self.seed, planned)
        command = [*PYTHON, *self.stage.program, *arguments]
        if self.stage.verb == "fit" and self.state == State.INTERRUPTED and any(self.here.glob(CHECKPOINTS)):
            command.append(f"--ckpt_path={self.here}")
        return command


def study(
    stages: dict[str, Stage],
    output: Path,
    seeds: list[int] = [0],  # noqa: B006 (never changed)
    report: Report | None = None,
    dry_run: bool = False,
    only: str | None = None,
    values: dict[str, Value] = {},  # noqa: B006 (never changed)
) -> None:
    """Run what is not done yet, then write the report to `<output>/report/`.

    Args:
        stages: the stages by name, in their order.
        output: the study's folder.
        seeds: each is a run of all stages.
        report: what is reported; null: nothing.
        dry_run: list the stages, what would run and why, with whole commands, and run nothing.
        only: run this one stage alone, and no report.
        values: what arguments of stages name in braces, beside stages: `{steps}` is the value `steps`.

    Raises:
        UserError: the study is not in order, data is missing, a stage fails, or `only` needs a stage that is
            not done.
    """
    stages = {name: stage.with_values(values) for name, stage in stages.items()}
    _require_order(stages)
    if only is not None and only not in stages:
        raise UserError(f"--only {only} is none of the stages: {', '.join(stages)}.")
    steps = [step for seed in seeds for step in _steps(stages, output / f"seed{seed}", seed)]
    if dry_run:
        print(*plan_lines([_planned(step, only) for step in steps]), sep="\n")
        return
    _require_data(stages, output)
    for step in steps:
        if only in (None, step.name):
            _require_done(step, steps)
            _run(step)
    if report is not None and only is None:
        folders = {seed: {step.name: step.here for step in steps if step.seed == seed} for seed in seeds}
        write_report(report, folders, output / "report")


def _planned(step: Step, only: str | None) -> PlannedStage:
    """What would become of a stage."""
    state, left_out = step.state, only not in (None, step.name)
    why = {
        State.NEW: "never begun",
        State.DONE: f"in {_duration(step.seconds)}; the same command, configs and files",
        State.INTERRUPTED: f"begun and not done, see {step.log}",
        State.CHANGED: f"command, configs, files or a stage it needs; the old goes to {step.here.name}.old",
    }[state]
    command = ["python", *step.command(planned=True)[len(PYTHON) :]]
    name = f"{step.here.parent.name}/{step.here.name}"
    runs = state != State.DONE and not left_out
    return PlannedStage(name, state.value, runs, "not asked for by --only" if left_out else why, command)


def _require_order(stages: Mapping[str, Stage]) -> None:
    """Refuse a stage of no verb or module, or one that names a stage that does not come before it."""
    before: list[str] = []
    for name, stage in stages.items():
        _require_program(name, stage)
        if unknown := sorted(stage.needs() - set(before)):
            raise UserError(
                f"stage '{name}' names {{{unknown[0]}}}, which is no stage before it (those are {before}) "
                "and none of the study's values."
            )
        before.append(name)


def _require_data(stages: Mapping[str, Stage], output: Path) -> None:
    """Refuse data that is not there now rather than hours later, when its stage begins."""
    from flowdpo_pl.data.rows import require_exists

    for name, stage in stages.items():
        for key, value in stage.arguments.items():
            if not key.endswith(".path") or key.startswith("model.") or not isinstance(value, str):
                continue
            if "{" in value or output in Path(value).parents:
                continue
            try:
                require_exists(value)
            except UserError as error:
                raise UserError(f"stage '{name}': {key}: {error}") from error


def _require_program(name: str, stage: Stage) -> None:
    try:
        known = bool(find_spec(stage.module) if stage.module else verb_named(stage.verb))
    except UserError as error:
        raise UserError(f"stage '{name}': {error}") from error
    except ImportError:
        known = False
    if not known:
        raise UserError(f"stage '{name}': there is no module {stage.module} to run (from {Path.cwd()}).")


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
        say(f"done before, in {_duration(step.seconds)}")
        return
    if state == State.CHANGED:
        _set_aside(step.here)
    command = step.command()
    before = step.seconds
    if state == State.INTERRUPTED and step.stage.verb in _REFUSED_AGAIN and _ended(step) == FINISHED:
        step.mark(True, before, command)
        say("done before; the study was ended before it could note that")
        return
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
        with (
            EndSignals() as signals,
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        ):
            task = progress.add_task(step.title, total=None, line="")
            show = lambda line: progress.update(task, line=visible_line(line[:100]))  # noqa: E731
            run_logged(command, step.log, step.title, show, signals)
        _require_finished(step)
        done = True
    except Interrupted:
        say("interrupted; the same command goes on")
        raise
    finally:
        step.mark(done, before + time.monotonic() - start, command)
    signals.end_if_heard()
    say(f"done in {_duration(step.seconds)}")


def _require_finished(step: Step) -> None:
    """A stage without an error is done only if its own summary, where it writes one, says so too.

    Raises:
        UserError: it was ended by something else.
    """
    if (ended := _ended(step)) not in (None, FINISHED):
        raise UserError(f"{step.title} has not finished ({ended}): the same command goes on; see {step.log}")


def _ended(step: Step) -> str | None:
    """How its own summary says it ended; None: there is no summary."""
    folder = step.here if step.stage.verb in ("", "fit") else step.here / step.stage.verb
    file = folder / "summary.json"
    if not file.exists():
        return None
    summary = read_json(file, "the summary of a run")
    return str(summary.get("ended")) if isinstance(summary, dict) else "its summary is none"


def _set_aside(folder: Path) -> None:
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    with written(old):
        folder.rename(old)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))

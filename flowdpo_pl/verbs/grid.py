"""The verb `grid`: one study in several cells, each with values of its own, side by side; then a picture.

A cell is the study with these values in the places of their names. Each seed of each cell is a command of its
own, `study`, which leaves alone what is done: an interrupted grid goes on by the same command.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from flowdpo_pl.errors import COUNT, UserError, require_within
from flowdpo_pl.results.foreign_yaml import value_of
from flowdpo_pl.verbs.grid_picture import GridPicture, draw_grid
from flowdpo_pl.verbs.grid_tables import read_cell, write_tables
from flowdpo_pl.verbs.stage_mark import read_stage_mark
from flowdpo_pl.verbs.stage_run import EndSignals, run_logged
from flowdpo_pl.verbs.study_stage import Value, as_text
from flowdpo_pl.verbs.study_step import require_different
from flowdpo_pl.visible import visible

PROGRAM = (sys.executable, "-m", "flowdpo_pl", "study")


@dataclass(frozen=True)
class Job:
    """One seed of one study, or its report on all seeds."""

    name: str
    command: tuple[str, ...]
    stages: tuple[Path, ...]
    """Folders of the stages that it runs; none of a report."""
    log: Path

    @property
    def done(self) -> int:
        """How many of its stages are done, as their folders say."""
        marks = map(read_stage_mark, self.stages)
        return sum(mark.done for mark in marks if mark is not None)


def grid(
    study: Path,
    cells: dict[str, dict[str, Value]],
    output: Path,
    seeds: list[int] = [0],  # noqa: B006 (never changed)
    before: Path | None = None,
    at_once: int = 2,
    picture: GridPicture | None = None,
    dry_run: bool = False,
) -> None:
    """Run a study in every cell, then write `<output>/grid.md`, `grid.csv`, `sections.csv` and, with a
    picture, `grid.png`.

    Args:
        study: the study's YAML.
        cells: by name, the values of each (`values` of the study). A cell's folder is `<output>/<name>`.
        output: the grid's folder.
        seeds: each is a run of all cells.
        before: a study that is run first, once a seed, in `<output>/before`: what all cells share.
        at_once: how many run side by side, each with one thread.
        picture: which differences are drawn; null: none.
        dry_run: list what would be run, and run nothing.

    Raises:
        UserError: there is no cell or no such study, a seed is named twice, or one fails.
    """
    require_within(COUNT, {"at_once": at_once})
    require_different(seeds)
    if not cells:
        raise UserError("cells is empty: give at least one, with the values that it has.")
    if picture is not None:
        picture.require_values(cells)
    firsts = [] if before is None else [_job("before", before, {}, output / "before", seed) for seed in seeds]
    jobs = [
        _job(name, study, values, output / name, seed) for seed in seeds for name, values in cells.items()
    ]
    reports = [_report(name, study, values, output / name, seeds) for name, values in cells.items()]
    if dry_run:
        print(*_listed([*firsts, *jobs, *reports]), sep="\n")
        return
    for part in (firsts, jobs, reports):
        _run(part, at_once)
    if picture is None and not _parts(study)[1]:
        return
    found = [read_cell(name, output / name / "report") for name in cells]
    drawn = ""
    if picture is not None:
        drawn = draw_grid(picture, cells, {one.cell: one.differences for one in found}, output / "grid.png")
    page = write_tables(found, output, before=drawn)
    files = ("grid.md", "grid.csv", "sections.csv", *(("grid.png",) if drawn else ()))
    print(f"{visible(page)}\n", *(output / name for name in files), sep="\n")


def _job(name: str, study: Path, values: dict[str, Value], output: Path, seed: int) -> Job:
    folder = output / f"seed{seed}"
    command = (*_words(study, values, output), f"--seeds=[{seed}]", "--report=null")
    stages = tuple(folder / stage for stage in _parts(study)[0])
    return Job(f"{name}, seed {seed}", command, stages, output / f"seed{seed}.log")


def _report(name: str, study: Path, values: dict[str, Value], output: Path, seeds: Sequence[int]) -> Job:
    command = (*_words(study, values, output), f"--seeds={json.dumps(list(seeds))}")
    return Job(f"{name}, report", command, (), output / "report.log")


def _words(study: Path, values: dict[str, Value], output: Path) -> tuple[str, ...]:
    given = (f"--values.{name}={as_text(value)}" for name, value in values.items())
    return (*PROGRAM, f"--config={study}", f"--output={output}", "--at_once=1", *given)


def _parts(study: Path) -> tuple[list[str], bool]:
    """Names of a study's stages, and whether it has a report.

    Raises:
        UserError: the file is not there, or is no study.
    """
    if not study.is_file():
        raise UserError(f"the study {study} does not exist (from {Path.cwd()}).")
    try:
        read = value_of(study.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"the study {study} can't be read as YAML ({error}): mend it.") from error
    stages = read.get("stages") if isinstance(read, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(name, str) for name in stages):
        raise UserError(f"{study} is no study: it has no `stages`, which are named by texts.")
    return list(stages), bool(read.get("report"))


def _listed(jobs: Sequence[Job]) -> Iterator[str]:
    """The commands in their order, and how far each is."""
    yield f"{len(jobs)} commands. Nothing is run now."
    for job in jobs:
        far = f": {job.done} of {len(job.stages)} stages done" if job.stages else ""
        yield f"\n# {job.name}{far}\n{shlex.join(('python', *job.command[1:]))}"


def _run(jobs: Sequence[Job], at_once: int) -> None:
    """Run the commands side by side, and begin no further one after one has failed."""
    failed = False

    def run(job: Job) -> None:
        nonlocal failed
        if failed or signals.heard:
            return
        print(f"{job.name}: runs, see {job.log}", flush=True)
        try:
            run_logged(job.command, job.log, job.name, lambda line: None, signals, threads=1)
        except BaseException:
            failed = True
            raise
        print(f"{job.name}: done", flush=True)

    with EndSignals() as signals, ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(run, job) for job in jobs]
        wait(running, return_when=FIRST_EXCEPTION)
    signals.end_if_heard()
    for job in running:
        job.result()

"""Runs the stages of a study, as many side by side as one likes, each after the stages that it needs."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from flowdpo_pl.errors import Interrupted, UserError
from flowdpo_pl.results.atomic_writes import written
from flowdpo_pl.verbs.stage_run import EndSignals, run_logged
from flowdpo_pl.verbs.study_step import State, Step
from flowdpo_pl.visible import visible_line

if TYPE_CHECKING:
    from rich.progress import Progress

FINISHED = "finished"
"""What the summary of a run says that came to its end."""
_REFUSED_AGAIN = ("validate", "test", "predict")
"""They refuse a folder in which they have finished; a `fit` goes on from its checkpoint and ends at once."""


def run_steps(steps: Sequence[Step], at_once: int = 1) -> None:
    """Run what is not done, showing for each how long it takes and the last line of its log.

    After one has failed no further one is begun, and those that run come to their end.

    Args:
        steps: in an order in which each stands behind those that it needs; one that it needs and that is not
            among them is done.
        at_once: how many run side by side, first those that the longest rows of others wait for. The cores
            are shared out among as many, unless OMP_NUM_THREADS says how many threads each takes.

    Raises:
        Interrupted: this program was asked to end; what runs was interrupted.
        UserError: a stage failed; the first that did.
    """
    left = list(steps) if at_once == 1 else _longest_first(steps)
    running, failed = dict[Future[None], Step](), list[BaseException]()
    threads = _threads(min(at_once, sum(step.state != State.DONE for step in steps)))
    with EndSignals() as signals, _progress() as progress, ThreadPoolExecutor(at_once) as pool:
        runner = _Runner(progress, signals, threads)
        while running or (left and not failed and not signals.heard):
            awaited = {step.here for step in (*left, *running.values())}
            free = 0 if failed or signals.heard else at_once - len(running)
            for step in [step for step in left if not step.needs & awaited][:free]:
                left.remove(step)
                running[pool.submit(runner.run, step)] = step
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                step = running.pop(ended)
                error = ended.exception()
                if error is None or isinstance(error, Interrupted):
                    continue
                failed.append(error)
                if len(failed) > 1 or running:  # else it is told when it is raised
                    told = str(error) if isinstance(error, UserError) else f"{step.title}: {error!r}"
                    others = ", ".join(one.title for one in running.values())
                    runner.say(f"{told}; waiting for {others}" if others else told)
    signals.end_if_heard()
    if failed:
        raise failed[0]


def _longest_first(steps: Sequence[Step]) -> list[Step]:
    """By how many wait behind each, one for the other; ties in their order. The last to end begins early."""
    behind: dict[Path, int] = {}
    for step in reversed(steps):
        waiting = behind.setdefault(step.here, 0)
        for needed in step.needs:
            behind[needed] = max(behind.get(needed, 0), waiting + 1)
    return sorted(steps, key=lambda step: behind[step.here], reverse=True)


def _threads(at_once: int) -> int | None:
    """Of each of so many commands; None: as many as it takes, or as the user's own variable says."""
    if at_once <= 1 or "OMP_NUM_THREADS" in os.environ:
        return None
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, ours // at_once)


class _Runner:
    """Runs a stage as a command of its own."""

    def __init__(self, progress: Progress, signals: EndSignals, threads: int | None) -> None:
        self._progress, self._signals, self._threads = progress, signals, threads

    def say(self, what: str) -> None:
        from rich.text import Text

        self._progress.console.print(Text(what), soft_wrap=True)

    def run(self, step: Step) -> None:
        """Run the stage unless it is done."""
        state = step.state
        if state == State.DONE:
            self.say(f"{step.title}: done before, in {step.duration}")
            return
        if state == State.CHANGED:
            _set_aside(step)
        command = step.command()
        before = step.seconds
        if state == State.INTERRUPTED and step.stage.verb in _REFUSED_AGAIN and step.ended == FINISHED:
            step.mark(True, before, command)
            self.say(f"{step.title}: done before; the study was ended before it could note that")
            return
        step.mark(False, before, command)
        if not self._progress.console.is_terminal:
            self.say(f"{step.title}: runs, see {step.log}")
        start = time.monotonic()
        done = False
        try:
            self._run_logged(step, command)
            _require_finished(step)
            done = True
        except Interrupted:
            self.say(f"{step.title}: interrupted; the same command goes on")
            raise
        finally:
            step.mark(done, before + time.monotonic() - start, command)
        self.say(f"{step.title}: done in {step.duration}")

    def _run_logged(self, step: Step, command: Sequence[str]) -> None:
        progress = self._progress
        task = progress.add_task(step.title, total=None, line="")
        try:
            show = lambda line: progress.update(task, line=visible_line(line[:100]))  # noqa: E731
            run_logged(command, step.log, step.title, show, self._signals, self._threads)
        finally:
            progress.remove_task(task)


def _require_finished(step: Step) -> None:
    """A stage without an error is done only if its own summary, where it writes one, says so too.

    Raises:
        UserError: it was ended by something else.
    """
    if (ended := step.ended) not in (None, FINISHED):
        raise UserError(f"{step.title} has not finished ({ended}): the same command goes on; see {step.log}")


def _set_aside(step: Step) -> None:
    old = step.here.with_name(f"{step.here.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    with written(old):
        step.here.rename(old)


def _progress() -> Progress:
    import rich
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = rich.get_console()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[line]}", markup=False),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

"""A run of two ranks is killed at a random moment and goes on: what was lost, and how long it took.

Under `torchrun`: `a rank`, one of the two, drawn anew each time, and `the launcher`, its agent. On Ray:
`a worker`, whose run Ray starts again. Each is killed by SIGKILL; the rest has to end by itself, and the run
that goes on to leave what one leaves that was never killed. `a job`: two tasks of SLURM, one of which hears
SIGUSR1; a stand-in for `scontrol` notes who asks to be requeued. To save time torchrun's agent forks its
processes from this one instead of starting Python anew, and what it left goes on with one rank. The last line
is JSON.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, mkdtemp
from threading import Thread
from typing import Any, Literal

import lightning.pytorch  # noqa: F401  # once, before processes are forked
import peft  # noqa: F401
import transformers  # noqa: F401
from jsonargparse import auto_cli

from benchmarks.ranked_run import BATCH, Left, RankedRun, forked, free_port, go_on, in_a_process, told
from benchmarks.repeat import report
from flowdpo_pl.errors import UserError

_PATIENCE = 300.0
"""Seconds after which something that should have happened has not."""
_SENTENCE = "another process of this run has ended"


def killed(
    victim: Literal["a rank", "the launcher", "a worker", "a job"] = "a rank",
    times: int = 10,
    batches: int = 6,
    seed: int = 0,
) -> None:
    """
    Args:
        victim: who is killed, or signalled.
        times: as often.
        batches: of the run.
        seed: of the moments.
    """
    os.environ |= {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.getcwd()}
    draws, problems = random.Random(seed), BATCH * batches
    with TemporaryDirectory() as scratch:
        start = time.perf_counter()
        forked(Path(scratch) / "whole", 1, RankedRun(problems))
        alone, took = Left.at(Path(scratch) / "whole"), time.perf_counter() - start
        trial = {"a worker": _on_ray, "a job": _under_slurm}.get(victim, _under_torchrun)
        trials: list[dict[str, Any]] = []
        while len(trials) < times:
            folder = Path(mkdtemp(dir=scratch))
            if (found := trial(victim, folder, problems, draws, alone)) is not None:
                trials.append(found)
                print(found, file=sys.stderr, flush=True)
    report(
        "killed",
        victim=victim,
        times=times,
        problems=problems,
        of_a_batch=BATCH,
        seconds_of_one_process=round(took, 1),
        finished_batches_lost=sum(trial["finished_batches_lost"] for trial in trials),
        same_as_never_killed=sum(trial["same"] for trial in trials),
        told_in_a_sentence=sum(trial["told"] for trial in trials),
        requeued=sum(trial["requeued"] for trial in trials),
        seconds_until_all_ended=round(median(trial["seconds"] for trial in trials), 1),
        seconds_until_the_end=median(trial.get("seconds_until_the_end", 0.0) for trial in trials),
        most_seconds=max(trial["seconds"] for trial in trials),
    )


def _under_torchrun(
    victim: str, folder: Path, problems: int, draws: random.Random, alone: Left
) -> dict[str, Any] | None:
    def agent() -> None:
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=2,
            start_method="fork",
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            run_id=folder.name,
            max_restarts=0,
        )
        elastic_launch(config, _member)(folder, 2, problems)

    launcher = in_a_process(agent, folder / "out.log")
    members = _under_way(folder, problems, draws)
    finished, start = _finished(folder), time.perf_counter()
    struck = launcher if victim == "the launcher" else members[draws.randrange(2)]
    if finished == problems or not _is_alive(struck):
        os.waitpid(launcher, 0)
        return None  # too late
    os.kill(struck, signal.SIGKILL)
    _wait(lambda: not any(map(_is_alive, (*members, launcher))))
    seconds, saved = time.perf_counter() - start, _saved(folder)
    os.waitpid(launcher, 0)
    forked(folder, 1, RankedRun(problems))
    return _outcome(folder, finished, saved, seconds, alone)


def _under_slurm(
    victim: str, folder: Path, problems: int, draws: random.Random, alone: Left
) -> dict[str, Any] | None:
    asked, stand_in = folder / "requeued", folder / "scontrol"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    stand_in.chmod(0o755)
    port = free_port()

    def task(rank: int) -> None:
        os.environ |= told("slurm", rank, 2, port)
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
        _member(folder, 2, problems)

    tasks = [in_a_process(partial(task, rank), folder / "out.log") for rank in range(2)]
    members = _under_way(folder, problems, draws)
    start = time.perf_counter()
    os.kill(members[draws.randrange(2)], signal.SIGUSR1)
    _wait(lambda: not any(map(_is_alive, members)))
    seconds, finished, saved = time.perf_counter() - start, _finished(folder), _saved(folder)
    if not asked.exists():
        return None  # too late
    for child in tasks:
        os.waitpid(child, 0)
    forked(folder, 1, RankedRun(problems))
    return _outcome(folder, finished, saved, seconds, alone)


def _member(folder: Path, ranks: int, problems: int) -> None:
    """As the command line ends: with a sentence where there is one."""
    try:
        go_on(folder, ranks, RankedRun(problems))
    except UserError as error:
        sys.exit(f"flowdpo_pl: {error}")


def _on_ray(
    victim: str, folder: Path, problems: int, draws: random.Random, alone: Left
) -> dict[str, Any] | None:
    from benchmarks.ranked_on_ray import run, start_ray

    start_ray(2)
    before = _said_on_ray()
    running = Thread(target=run, args=(folder, 2, RankedRun(problems)))
    running.start()
    members = _under_way(folder, problems, draws)
    finished, start = _finished(folder), time.perf_counter()
    struck = members[draws.randrange(2)]
    if finished == problems or not _is_alive(struck):
        running.join(_PATIENCE)
        return None  # too late
    os.kill(struck, signal.SIGKILL)
    _wait(lambda: not any(map(_is_alive, members)))
    seconds, saved = time.perf_counter() - start, _saved(folder)
    running.join(_PATIENCE)
    if running.is_alive():
        sys.exit("Ray has not ended a run whose worker was killed")
    return {
        **_outcome(folder, finished, saved, seconds, alone),
        "told": _said_on_ray() > before,
        "seconds_until_the_end": round(time.perf_counter() - start, 1),
    }


def _said_on_ray() -> int:
    """Workers of this Ray that have said that another one has ended."""
    logs = Path("/tmp/ray/session_latest/logs").glob("worker-*.err")
    return sum(_SENTENCE in log.read_text(errors="replace") for log in logs)


def _outcome(folder: Path, finished: int, saved: int, seconds: float, alone: Left) -> dict[str, Any]:
    left, log = Left.at(folder), folder / "out.log"
    return {
        "after": finished,
        "finished_batches_lost": max(0, finished - saved) // BATCH,
        "seconds": round(seconds, 2),
        "same": left.first_other_move(alone) is None and left.furthest(alone) < 1e-12,
        "told": log.exists() and _SENTENCE in log.read_text(),
        "requeued": (folder / "requeued").exists(),
    }


def _under_way(folder: Path, problems: int, draws: random.Random) -> Sequence[int]:
    """Wait for a moment of a run; its processes."""
    moment = draws.uniform(0, problems - BATCH)
    start = time.perf_counter()
    _wait(lambda: _finished(folder) > 0)
    _wait(lambda: _finished(folder) >= moment)
    batches = _finished(folder) // BATCH
    time.sleep(draws.uniform(0, min(2.0, (time.perf_counter() - start) / batches)))
    return _members(folder)


def _members(folder: Path) -> Sequence[int]:
    """Process numbers of the two ranks."""
    return [int((folder / f"rank{rank}.pid").read_text()) for rank in range(2)]


def _is_alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _finished(folder: Path) -> int:
    """Problems of the batches that were learnt from: their trees are written."""
    trees = folder / "trees.jsonl"
    return trees.read_bytes().count(b"\n") if trees.exists() else 0


def _saved(folder: Path) -> int:
    """Problems after which the newest checkpoint was written."""
    found = [int(file.stem.rpartition("_")[2]) for file in (folder / "checkpoints").glob("problems_*.ckpt")]
    return max(found, default=0)


def _wait(happened: Callable[[], bool]) -> None:
    start = time.perf_counter()
    while not happened():
        if time.perf_counter() - start > _PATIENCE:
            sys.exit("a run has not begun, or has not ended after it was killed")
        time.sleep(0.02)


if __name__ == "__main__":
    auto_cli(killed)

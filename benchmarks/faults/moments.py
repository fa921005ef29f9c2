"""Commands that are ended at moments drawn by chance, by SIGKILL, SIGTERM or Ctrl-C."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.faults.every import shown
from benchmarks.faults.trial import Bench, Trial, judged
from benchmarks.faults.verbs import Verb

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def moments(verb: Verb, times: int, seed: int, workers: int, work: Path) -> dict[str, Any]:
    """End the command so many times, go on, and compare.

    Args:
        verb: what runs.
        times: how often.
        seed: of the moments.
        workers: trials at a time.
        work: folder for all of it.
    """
    draws = random.Random(f"{verb.name} {seed}")
    bench = Bench(verb)
    whole = bench.undisturbed(work / "whole")
    seconds = bench.begin(work / "timed").ended().seconds

    def moment(number: int) -> Trial:
        return _ended(bench, work / f"moment_{number}", whole, SIGNALS[number % 3], delays[number])

    delays = [draws.uniform(0, seconds) for _ in range(times)]
    with ThreadPoolExecutor(workers) as pool:
        trials = list(shown(pool.map(moment, range(times)), times, verb.name))
    bench.close()
    return {
        "times": times,
        "ended": dict(Counter(trial.said for trial in trials)),
        "wrong": {trial.told: trial.wrong for trial in trials if trial.wrong},
    }


def _ended(bench: Bench, folder: Path, whole: dict[str, Any], number: int, delay: float) -> Trial:
    trial = Trial(f"{signal.Signals(number).name} after {delay:.2f} s in {folder.name}")
    started = bench.begin(folder)
    pid = started.pid
    time.sleep(delay)
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    ended = started.ended()
    trial.said = f"{signal.Signals(number).name}: {ended.status}"
    return judged(trial, bench, folder, whole, ended)

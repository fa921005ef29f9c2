"""`python -m benchmarks.faults every --verbs [fit] --every 4`: a line of JSON a verb; docs/reliability.md."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from benchmarks.faults.every import every_operation
from benchmarks.faults.moments import moments
from benchmarks.faults.shim import Fault, compiler, with_shim
from benchmarks.faults.spoilt import full_disks, killed_workers, spoilt_files
from benchmarks.faults.verbs import VERBS, Verb
from benchmarks.faults.warm import warm_up
from benchmarks.repeat import report

FAULTS = ("KILL_AFTER", "TEAR", "POWER_CUT", "NO_SPACE", "NO_PERMISSION")
"""A kill before an operation leaves what a kill after the one before it does."""


def every(
    verbs: list[str] = list(VERBS),  # noqa: B006 (never changed)
    faults: list[str] = list(FAULTS),  # noqa: B006
    every: int = 1,
    first: int = 0,
    workers: int = 2,
    keep: Path | None = None,
) -> int:
    """Break every operation on a file, one at a time.

    Args:
        verbs: which commands.
        faults: which of `shim.Fault`.
        every: only every so manieth point.
        first: where the sample begins.
        workers: trials at a time.
        keep: a folder for what went wrong; null: it is removed.
    """
    chosen = [Fault[fault] for fault in faults]
    facts = {"every": every, "first": first}
    return _each(
        "every", verbs, keep, facts, lambda verb, at: every_operation(verb, chosen, every, first, workers, at)
    )


def at_random(
    verbs: list[str] = list(VERBS),  # noqa: B006
    times: int = 12,
    seed: int = 0,
    workers: int = 2,
    keep: Path | None = None,
) -> int:
    """End commands at random moments by SIGKILL, SIGTERM and Ctrl-C in turn.

    Args:
        verbs: which commands.
        times: how often each.
        seed: of the moments.
        workers: trials at a time.
        keep: a folder for what went wrong; null: it is removed.
    """
    return _each(
        "at_random", verbs, keep, {"seed": seed}, lambda verb, at: moments(verb, times, seed, workers, at)
    )


def spoilt(keep: Path | None = None) -> int:
    """Truncate or change the newest checkpoint, remove adapters, fill the disk, kill verifiers' workers.

    Args:
        keep: a folder for what went wrong; null: it is removed.
    """
    wrong = _each("spoilt", ["fit", "sft"], keep, {}, spoilt_files)
    wrong += _each("full", ["fit"], keep, {}, full_disks)
    wrong += _each("workers", ["judged"], keep, {}, killed_workers)
    return wrong


def _each(
    part: str,
    verbs: list[str],
    keep: Path | None,
    facts: dict[str, Any],
    try_out: Callable[[Verb, Path], dict[str, Any]],
) -> int:
    """Try a verb after the other, a line of JSON each; how many trials went wrong."""
    work = keep or Path(tempfile.mkdtemp(prefix="faults-"))
    warm_up()
    wrong = 0
    for name in verbs:
        started = time.monotonic()
        (work / part / name).mkdir(parents=True)
        found = try_out(VERBS[name](work / part / name), work / part / name)
        wrong += len(found["wrong"])
        seconds = round(time.monotonic() - started)
        report("faults", part=part, verb=name, **facts, **found, seconds=seconds)
    if keep is None:
        shutil.rmtree(work)
    return wrong


def main() -> None:
    if compiler() is None:
        sys.exit("benchmarks.faults needs Linux and a C compiler (cc, gcc or clang).")
    if "FLOWDPO_FAULTS" not in os.environ:  # begin again with the library, on one thread
        with tempfile.TemporaryDirectory(prefix="faults-shim-") as folder:
            root = str(Path(__file__).resolve().parents[2])  # for the stages of a study
            own = {"FLOWDPO_FAULTS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
            environment = with_shim(Path(folder)) | own
            command = [sys.executable, "-m", "benchmarks.faults", *sys.argv[1:]]
            sys.exit(os.spawnve(os.P_WAIT, sys.executable, command, environment))
    sys.exit(bool(auto_cli([every, at_random, spoilt], as_positional=False)))


if __name__ == "__main__":
    main()

"""`python -m benchmarks.faults every --verbs [fit] --every 4`: a line of JSON a verb (docs/reliability.md)."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from jsonargparse import auto_cli

from benchmarks.faults.every import every_operation
from benchmarks.faults.shim import Fault, compiler, with_shim
from benchmarks.faults.verbs import VERBS
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
) -> None:
    """Break every operation on a file, one at a time.

    Args:
        verbs: which commands.
        faults: which of `shim.Fault`.
        every: only every so manieth point.
        first: where the sample begins.
        workers: trials at a time.
        keep: a folder for what went wrong; null: it is removed.
    """
    work = keep or Path(tempfile.mkdtemp(prefix="faults-"))
    warm_up()
    wrong = 0
    for name in verbs:
        started = time.monotonic()
        (work / name).mkdir(parents=True)
        found = every_operation(
            VERBS[name](), [Fault[fault] for fault in faults], every, first, workers, work / name
        )
        wrong += len(found["wrong"])
        seconds = round(time.monotonic() - started)
        report("faults", part="every", verb=name, every=every, first=first, **found, seconds=seconds)
    if keep is None:
        shutil.rmtree(work)
    sys.exit(bool(wrong))


def main() -> None:
    if compiler() is None:
        sys.exit("benchmarks.faults needs Linux and a C compiler (cc, gcc or clang).")
    if "FLOWDPO_FAULTS" not in os.environ:  # begin again with the library, on one thread
        with tempfile.TemporaryDirectory(prefix="faults-shim-") as folder:
            environment = with_shim(Path(folder)) | {"FLOWDPO_FAULTS": "1", "OMP_NUM_THREADS": "1"}
            command = [sys.executable, "-m", "benchmarks.faults", *sys.argv[1:]]
            sys.exit(os.spawnve(os.P_WAIT, sys.executable, command, environment))
    auto_cli([every], as_positional=False)


if __name__ == "__main__":
    main()

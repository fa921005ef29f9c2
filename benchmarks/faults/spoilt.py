"""What others do to a run: its files are spoilt, its disk is full, its verifier's workers are killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.faults.same import broken
from benchmarks.faults.shim import Fault, operations
from benchmarks.faults.trial import Bench, Trial, after, finished_wrong, last_words
from benchmarks.faults.verbs import Verb
from benchmarks.faults.warm import beside

LAST = "runs/tiny/checkpoints/last.ckpt"
SIZES_KB = (8, 1540, 1560, 1580, 1600, 1640)
"""Of disks that a run does not fit on."""
_SAID = ("can't be written (No space left on device)", " MB free, and checkpoints take up to ")
"""By a run on one of them: while it goes on, or before it begins."""


def spoilt_files(verb: Verb, work: Path) -> dict[str, Any]:
    """A run that was killed behind its second checkpoint, whose files are spoilt then."""
    bench = Bench(verb)
    whole = bench.undisturbed(work / "whole")
    done = operations(beside(work / "whole", "operations"))
    ends = [op.number for op in done if op.call == "rename" and op.path.endswith(LAST)]
    bench.begin(work / "half", Fault.KILL_AFTER, ends[1]).ended()
    trials = []
    for spoil, says in _SPOILS.items():
        folder = work / spoil.__name__.strip("_")
        shutil.copytree(work / "half", folder)
        spoil(folder)
        trial = Trial(folder.name, finished_wrong(bench, folder, whole))
        output = beside(folder, "output").read_text(errors="replace")
        if says and says not in " ".join(output.split()):
            trial.wrong.append(f"it does not say '{says}': {last_words(output)}")
        trials.append(trial)
    bench.close()
    return _told(trials)


def _truncated(folder: Path) -> None:
    os.truncate(folder / LAST, (folder / LAST).stat().st_size // 2)


def _changed(folder: Path) -> None:
    content = bytearray((folder / LAST).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / LAST).write_bytes(content)


def _empty(folder: Path) -> None:
    os.truncate(folder / LAST, 0)


def _removed(folder: Path) -> None:
    (folder / LAST).unlink()


def _without_adapters(folder: Path) -> None:
    for name in ("adapters", "adapter"):
        shutil.rmtree(folder / "runs/tiny" / name, ignore_errors=True)


_SPOILS: Mapping[Callable[[Path], None], str] = {
    **dict.fromkeys((_truncated, _changed, _empty), "last.ckpt is truncated or spoilt"),
    _removed: "last.ckpt is not there",
    _without_adapters: "",
}
"""Each with what the command that goes on says."""


def full_disks(verb: Verb, work: Path) -> dict[str, Any]:
    """Runs on file systems in memory that are too small and grow then; root alone may mount them."""
    bench = Bench(verb)
    whole = bench.undisturbed(work / "whole")
    trials = []
    for size in SIZES_KB:
        folder = work / f"disk_{size}k"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", folder]
        if subprocess.run(mount, check=False).returncode:
            return {"left_out": "no file system can be mounted here", "wrong": {}}
        try:
            trials.append(_on_full_disk(bench, folder, whole))
        finally:
            subprocess.run(["umount", folder], check=True)
    bench.close()
    return _told(trials)


def _on_full_disk(bench: Bench, folder: Path, whole: Mapping[str, Any]) -> Trial:
    ended = bench.start(folder).ended()
    trial = Trial(folder.name, said=last_words(ended.output))
    if ended.status != 1 or not any(words in ended.output for words in _SAID):
        trial.wrong.append(f"it ends with {ended.status}: {trial.said}")
    trial.wrong += [f"not whole: {name}" for name in broken(folder)]
    subprocess.run(["mount", "-o", "remount,size=100m", folder], check=True)
    trial.wrong += finished_wrong(bench, folder, whole)
    return trial


def killed_workers(verb: Verb, work: Path) -> dict[str, Any]:
    """The verifier's worker processes are killed again and again while a run goes on."""
    bench = Bench(verb)
    whole = bench.undisturbed(work / "whole")
    trials = []
    for number in range(3):
        folder = work / f"killed_{number}"
        started = bench.begin(folder)
        pid, killed = started.pid, 0
        while not beside(folder, "ended").exists():
            time.sleep(0.4)
            with suppress(OSError):
                for child in _children(pid):
                    os.kill(child, signal.SIGKILL)
                    killed += 1
        trial = Trial(folder.name, after(bench, folder, whole, started.ended()), f"{killed} workers killed")
        trials.append(trial)
    bench.close()
    return _told(trials)


def _children(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in threads for child in file.read_text().split()]


def _told(trials: list[Trial]) -> dict[str, Any]:
    return {
        "tried": [trial.told for trial in trials],
        "said": [trial.said for trial in trials if trial.said],
        "wrong": {trial.told: trial.wrong for trial in trials if trial.wrong},
    }

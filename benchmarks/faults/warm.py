"""Commands in children of a process that has imported everything, from where their arguments are parsed."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.exit_status import exit_status
from benchmarks.faults.shim import Fault, arm
from tests.forked import HEAVY

ALSO_HEAVY = (
    "pyarrow.parquet",
    "rich.table",
    "rich.progress",
    "torchmetrics",
    "callbacks",
    "flowdpo_pl.__main__",
)
"""Beside what the blocks of the docs take."""
GRACE_SECONDS = 5.0
"""So long a process may outlive the command that started it: the verifier's workers notice its end."""
_PR_SET_CHILD_SUBREAPER = 36


def warm_up() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # "" would be the folder of each command
    for name in (*HEAVY, *ALSO_HEAVY):
        import_module(name)


@dataclass(frozen=True)
class Ended:
    """How a command came to its end."""

    status: int
    """Negative: by that signal."""
    orphans: int
    """Processes that outlived it and had to be killed."""
    seconds: float
    output: str


class Ready:
    """A command whose arguments are parsed, waiting to go on in a folder, any number of times.

    Args:
        words: its command line; paths in it are whole, or begin in the folder.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._ours, theirs = socket.socketpair()
        sys.stdout.flush()
        self._pid = os.fork()
        if not self._pid:
            self._ours.close()
            _command(words, theirs)
        theirs.close()

    def start(self, folder: Path, fault: Fault = Fault.NONE, at: int = 0) -> Started:
        """Begin it in `folder`; its output and its operations go into files beside that."""
        for file in (beside(folder, "pid"), beside(folder, "ended")):
            file.unlink(missing_ok=True)
        job = {"folder": str(folder), "fault": int(fault), "at": at}
        self._ours.sendall((json.dumps(job) + "\n").encode())
        return Started(folder)

    def run(self, folder: Path, fault: Fault = Fault.NONE, at: int = 0) -> Ended:
        return self.start(folder, fault, at).ended()

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._ours.close()


@dataclass(frozen=True)
class Started:
    """A command under way."""

    folder: Path

    @property
    def pid(self) -> int:
        return int(_awaited(beside(self.folder, "pid")))

    def ended(self) -> Ended:
        found = json.loads(_awaited(beside(self.folder, "ended")))
        return Ended(**found, output=beside(self.folder, "output").read_text(errors="replace"))


def beside(folder: Path, what: str) -> Path:
    """What is kept of a command in this folder: `output`, `operations`, `tmp` (its temporary files), …"""
    return folder.with_name(f"{folder.name}.{what}")


def _awaited(file: Path) -> str:
    while not file.exists():
        time.sleep(0.02)
    return file.read_text()


def _command(words: Sequence[str], jobs: socket.socket) -> None:
    """Of the parent that waits: parse; then a child for each job."""
    from flowdpo_pl import cli
    from flowdpo_pl.__main__ import main

    if words[0] not in cli.VERBS:
        _serve(jobs)
    else:
        look = cli.FlowCLI.require_there

        def waiting(self: Any, verb: str, *given: Any) -> None:
            _load_once(self, verb)
            _serve(jobs)
            look(self, verb, *given)

        cli.FlowCLI.require_there = waiting  # type: ignore[method-assign]
    sys.argv = ["flowdpo_pl", *words]
    status = exit_status(main)
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _load_once(cli: Any, verb: str) -> None:
    """Load the team of a parsed command now; its children have it then."""
    from flowdpo_pl.play.team import Team

    load, loaded = Team._loaded, {}

    def remembered(team: Any, agents: Sequence[str], seed: int) -> Any:
        key = repr((team, tuple(agents), seed))
        if key not in loaded:
            loaded[key] = load(team, agents, seed)
        return loaded[key]

    Team._loaded = remembered  # type: ignore[method-assign]
    cli.parser.instantiate_classes(cli.config)[verb].model.load()


def _serve(jobs: socket.socket) -> None:
    """Answers jobs, each by a process that minds one; returns in the command's own."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who minds is not waited for
    for line in jobs.makefile("r"):
        job = json.loads(line)
        if not os.fork():
            jobs.close()
            if _minded(Path(job["folder"])):
                _begin(Path(job["folder"]), Fault(job["fault"]), job["at"])
                return
    os._exit(0)


def _minded(folder: Path) -> bool:
    """True in a child of its own; how that ends, and what it leaves behind, is written beside the folder."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    started = time.monotonic()
    child = os.fork()
    if not child:
        return True
    _write(beside(folder, "pid"), str(child))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seconds = round(time.monotonic() - started, 2)
    _write(beside(folder, "ended"), json.dumps({"status": status, "orphans": _orphans(), "seconds": seconds}))
    os._exit(0)


def _write(file: Path, text: str) -> None:
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(text)
    partial.rename(file)


def _begin(folder: Path, fault: Fault, at: int) -> None:
    os.setsid()
    os.chdir(folder)
    output = os.open(beside(folder, "output"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    beside(folder, "tmp").mkdir(exist_ok=True)
    tempfile.tempdir = os.environ["TMPDIR"] = str(beside(folder, "tmp"))
    arm(folder, beside(folder, "operations"), fault, at)


def _orphans() -> int:
    """Waits for what a command left behind; kills and counts what stays."""
    last = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < last:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.02)
        except ChildProcessError:
            return 0
    left = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(left)

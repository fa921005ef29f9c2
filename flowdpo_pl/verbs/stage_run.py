"""Runs a command as a child of its own, its output in a log, and ends it when this program is ended."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, SIGTERM
from types import FrameType
from typing import BinaryIO, Self

from flowdpo_pl.errors import Interrupted, UserError
from flowdpo_pl.results.atomic_writes import written

_LOOK_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


class EndSignals:
    """Hears, as a context, what asks this program to end, and raises nothing: no moment is a bad one."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._hear) for number in (SIGINT, SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def end_if_heard(self) -> None:
        """
        Raises:
            Interrupted: something was heard.
        """
        if self.heard:
            raise Interrupted(self.heard[0])

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.heard.append(number)


def run_logged(
    command: Sequence[str],
    log: Path,
    name: str,
    watch: Callable[[str], None],
    signals: EndSignals,
    threads: int | None = None,
) -> None:
    """Run `command` to its end, appending what it prints to `log`.

    Args:
        command: program and arguments.
        log: the log file; it is made with its folder.
        name: of the stage, for messages.
        watch: told of the log's last line twice a second.
        signals: the child is interrupted whenever one is heard.
        threads: of its mathematics; None: as many as it takes.

    Raises:
        Interrupted: the child did not come to its end because of a signal.
        UserError: the command failed; its last line and its log are named. Or the log can't be written.
    """
    environment = None if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with _opened(log) as output:
        # A session of its own: an interrupt reaches the child from here alone, and it saves its run.
        child = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
            preexec_fn=_ends_with(os.getpid()),
        )
        passed_on = 0
        try:
            while child.poll() is None:
                if len(signals.heard) > passed_on:
                    passed_on += 1
                    child.send_signal(SIGINT)
                watch(last_line(log))
                with suppress(subprocess.TimeoutExpired):
                    child.wait(_LOOK_SECONDS)
        finally:
            if child.poll() is None:
                child.send_signal(SIGINT)
                child.wait()
    if child.returncode:
        signals.end_if_heard()
        raise UserError(f"{name} failed ({last_line(log) or child.returncode}): see {log}")


def _opened(log: Path) -> BinaryIO:
    """
    Raises:
        UserError: it can't be written.
    """
    with written(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("ab")


def _ends_with(parent: int) -> Callable[[], None] | None:
    """What a child calls before its program: the system kills it when this program is killed; Linux alone."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def bound() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # it was killed just now
            os._exit(1)

    return bound


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")

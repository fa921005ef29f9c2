"""Runs a command as a child of its own, its output in a log, and ends it when this program is ended."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from flowdpo_pl.errors import UserError

_LOOK_SECONDS = 1.0


def run_logged(command: Sequence[str], log: Path, name: str, watch: Callable[[str], None]) -> None:
    """Run `command` to its end, appending what it prints to `log`.

    Args:
        command: program and arguments.
        log: the log file; it is made with its folder.
        name: of the stage, for messages.
        watch: told of the log's last line about once a second.

    Raises:
        UserError: the command failed; its last line and its log are named.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        # A session of its own: an interrupt reaches the child once, from here, and it saves its run.
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            while child.poll() is None:
                watch(last_line(log))
                try:
                    child.wait(_LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                child.wait()
    if child.returncode:
        raise UserError(f"{name} failed ({last_line(log) or child.returncode}): see {log}")


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")

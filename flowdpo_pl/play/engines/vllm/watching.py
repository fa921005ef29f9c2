"""A process that ends a server whose trainer was killed: who is killed by SIGKILL ends nothing itself.

It runs as a script of its own, with the standard library alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SECONDS = 0.5


@contextmanager
def watched(group: int) -> Iterator[None]:
    """While it is open, the process group ends once this process has."""
    words = [sys.executable, "-S", "-E", __file__, str(os.getpid()), str(group)]
    quiet = subprocess.DEVNULL
    watcher = subprocess.Popen(words, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        yield
    finally:
        watcher.kill()
        watcher.wait()


def watch(parent: int, group: int) -> None:
    """Wait until `parent` has ended, then end the group."""
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    watch(*map(int, sys.argv[1:]))

"""A process that ends with the one that started it, also where that was killed: nobody else would end it."""

from __future__ import annotations

import os
import signal
import threading
import time

_SECONDS = 0.5


def end_with_parent() -> None:
    """From now on this process is killed soon after its parent has ended.

    Waiting for what the parent will never send, it would hear nothing softer.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True, name="parent-watch").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)

"""A first Ctrl-C or SIGTERM asks a run to end; a second one ends it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from flowdpo_pl.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Listens from `start` to `stop`, in the main thread; elsewhere Python can't.

    Args:
        asked_to_end: called at the first signal, in the middle of whatever the run does; returns what to
            tell the user.
    """

    def __init__(self, asked_to_end: Callable[[], str]) -> None:
        self._asked_to_end = asked_to_end
        self._signal: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def start(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._signal = None
            self._before = {number: signal.signal(number, self._heard) for number in SIGNALS}

    def stop(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def end_if_asked(self) -> None:
        """
        Raises:
            Interrupted: a signal came.
        """
        if self._signal is not None:
            raise Interrupted(self._signal)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            self.stop()  # a third one meets what was there before
            raise Interrupted(number)
        self._signal = number
        told = self._asked_to_end()
        os.write(2, f"\n{told}\n".encode())  # print isn't safe here: the signal may have come inside one

"""A first Ctrl-C or SIGTERM asks a run to end; a second one ends it. Other signals may ask too."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from flowdpo_pl.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Listens from `start` to `stop`, in the main thread; elsewhere Python can't.

    Args:
        asked_to_end: called with the first signal, in the middle of whatever the run does; returns what to
            tell the user, or nothing.
        signals: that ask.
    """

    def __init__(self, asked_to_end: Callable[[int], str], signals: Sequence[int] = SIGNALS) -> None:
        self._asked_to_end = asked_to_end
        self._signals = signals
        self.signal: int | None = None
        """The one that came."""
        self._before: dict[int, Any] = {}

    def start(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self.signal = None
            self._before = {number: signal.signal(number, self._heard) for number in self._signals}

    def stop(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            self.stop()  # a third one meets what was there before
            raise Interrupted(number)
        self.signal = number
        if told := self._asked_to_end(number):
            os.write(2, f"\n{told}\n".encode())  # print isn't safe here: the signal may have come inside one

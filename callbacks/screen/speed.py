"""How fast a count grows, and when it will be there."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

FEWEST, SECONDS = 16, 30.0
"""The speed is that of the latest 16 steps, or of the latest half minute if that has more of them."""


class Speed:
    """Watches a count; steps may take milliseconds or minutes.

    Args:
        clock: seconds that pass evenly.
    """

    def __init__(self, done: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps = deque([(clock(), done)])

    def add(self, done: int) -> None:
        """So many are done now."""
        now = self._clock()
        self._steps.append((now, done))
        while len(self._steps) > FEWEST + 1 and now - self._steps[1][0] >= SECONDS:
            self._steps.popleft()

    @property
    def a_second(self) -> float:
        """How many a second; nan before the first step."""
        (then, before), (now, done) = self._steps[0], self._steps[-1]
        return (done - before) / (now - then) if now > then else math.nan

    def seconds_left(self, total: int) -> float:
        """Until the count is `total`, from now on; nan before the first step, inf if nothing grows."""
        since, done = self._steps[-1]
        speed = self.a_second
        if math.isnan(speed) or total <= done:
            return 0.0 if total <= done else math.nan
        if not speed:
            return math.inf
        return max(0.0, (total - done) / speed - (self._clock() - since))


def duration(seconds: float) -> str:
    """In a few characters: `0:09`, `2:45`, `12:02:45`, `3d 04:10`; `-:--` if it is not known."""
    if not math.isfinite(seconds):
        return "-:--"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02}:{minute:02}"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def amount(number: float) -> str:
    """To three digits or so: `0.31`, `9.3`, `25`, `2,777`; `-` if it is not known."""
    if not math.isfinite(number):
        return "-"
    return f"{number:.2f}" if number < 1 else f"{number:.1f}" if number < 10 else f"{number:,.0f}"

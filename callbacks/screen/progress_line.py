"""Progress in one line: a bar on a terminal or in a notebook; elsewhere (a log file) plain lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import ProgressBar

from callbacks.screen.places import Place, place_of
from callbacks.screen.speed import Speed, amount, duration
from callbacks.watching.pace import Pace
from flowdpo_pl.made_with import MadeWith

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

NARROWEST, WIDEST = 8, 40
"""Columns of the bar."""


class ProgressLine(MadeWith, ProgressBar):
    """Shows one verb at a time, from `start` to `stop`; silent before, after, and when disabled.

    On a terminal, and in a notebook, count, bar, time left and speed stay however narrow it is; what else
    there is to say follows as far as it fits. Elsewhere whole lines are written, one every so many.

    Args:
        pace: When a line is due where no bar can be shown.
        unit: What is counted, in the plural.
    """

    def __init__(self, pace: Pace, unit: str) -> None:
        super().__init__()
        self._pace, self._unit = pace, unit
        self._enabled = True
        self._shown = False
        self._place: Place | None = None

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        import rich

        rich.get_console().print(*args, markup=False)

    def start(self, verb: str, done: int, total: int | None) -> None:
        """The verb goes on after `done` of them, of at most `total` if that is known."""
        if not self._enabled:
            return
        self._shown, self._verb, self._total = True, verb, total
        self._done, self._said, self._behind = done, done, [""]
        self._begun = time.monotonic()
        self._speed = Speed(done)
        self._over = False
        self._pace.start(done)
        self._place = place_of(self)

    def show(self, done: int, total: int | None, speed: str, *how: str) -> None:
        """So many are done.

        Args:
            done: The count.
            total: Of how many at most, as far as is known by now.
            speed: In other units, such as tokens; stays with the count's own.
            how: How it went, the most important first.
        """
        if not self._shown:
            return
        self._speed.add(done)
        self._done, self._total = done, total
        self._behind = [speed, *how]
        if self._place is not None:
            self._place.changed()
        elif self._pace.due(done) and done != self._total:  # `stop` says the last one
            self._say()

    def stop(self) -> None:
        """The verb is over, or was stopped."""
        if not self._shown:
            return
        self._shown = False
        self._over = True
        if self._place is not None:
            self._place.stop()
            self._place = None
        elif self._done != self._said:
            self._say()

    def _say(self) -> None:
        """The line as a log file has it: everything."""
        self._said = self._done
        speed, *how = self._behind
        parts = [f"{self._counted} {self._unit}", *how, f"{self._rate}, {speed}" if speed else self._rate]
        print(" | ".join([*parts, *self._time]), flush=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The line as a terminal of this width has it."""
        from rich.text import Text

        speed, *how = self._behind
        space = options.max_width - 1
        start = f"{self._counted} "
        needed = [*self._time, self._rate, *([speed] if speed else [])]
        bar = NARROWEST + 1 if self._total is not None else 0
        tail = _fitting(needed, how, space - len(start) - bar)
        yield Text(start, end="", style="bold")
        if self._total is not None:
            width = max(1, min(WIDEST, space - len(start) - len(tail) - 1))
            full = min(width, width * self._done // max(self._total, 1))
            drawn, undrawn = "#-" if options.ascii_only else "━─"
            yield Text(drawn * full, end="", style="green" if self._over else "magenta")
            yield Text(f"{undrawn * (width - full)} ", end="", style="dim")
        yield Text(tail, end="", no_wrap=True)

    @property
    def _counted(self) -> str:
        """An estimated total that was too low is not shown."""
        of_total = f"/{self._total}" if self._total is not None and self._total >= self._done else ""
        return f"{self._verb} {self._done}{of_total}"

    @property
    def _rate(self) -> str:
        return f"{amount(self._speed.a_second)} {self._unit}/s"

    @property
    def _time(self) -> Sequence[str]:
        if self._over:
            return [f"took {duration(time.monotonic() - self._begun)}"]
        if self._total is None:
            return [f"{duration(time.monotonic() - self._begun)} so far"]
        return [f"{duration(self._speed.seconds_left(self._total))} left"]


def _fitting(needed: Sequence[str], further: Sequence[str], space: int) -> str:
    """The parts that fit, the first `needed` one in any case; a part that does not ends the line."""
    line = needed[0]
    for part in [*needed[1:], *further]:
        if len(line) + 2 + len(part) > space:
            break
        line += f"  {part}"
    return line

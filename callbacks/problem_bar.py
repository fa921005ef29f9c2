"""Progress in problems: a bar on a terminal; elsewhere (a log file) a plain line every so many problems."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lightning.pytorch.callbacks import ProgressBar

from callbacks.pace import Pace

if TYPE_CHECKING:
    from rich.progress import Progress


class ProblemBar(ProgressBar):
    """Shows one verb at a time, from `start` to `stop`; silent before, after, and when disabled.

    Args:
        every_n_problems: Problems between two lines where there is no terminal.
    """

    def __init__(self, every_n_problems: int = 160) -> None:
        super().__init__()
        self._pace = Pace(every_n_problems)
        self._enabled = True
        self._shown = False
        self._progress: Progress | None = None

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        import rich

        rich.get_console().print(*args)

    def start(self, verb: str, seen: int, total: int | None) -> None:
        """The verb goes on after `seen` problems, of at most `total` if that is known."""
        if not self._enabled:
            return
        import rich
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._shown, self._verb = True, verb
        self._pace.start(seen)
        console = rich.get_console()
        if console.is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
            self._progress = Progress(*columns, console=console)
            self._task = self._progress.add_task(verb, total=total, completed=seen)
            self._progress.start()

    def show(self, seen: int, total: int | None, how: str) -> None:
        """So many problems are done, of at most `total` as it is known by now; `how` says how it went."""
        if not self._shown:
            return
        of_total = "" if total is None else f"/{total}"
        line = f"{self._verb} {seen}{of_total} problems | {how}"
        if self._progress is not None:
            self._progress.update(self._task, completed=seen, total=total, description=line)
        elif self._pace.due(seen) or seen >= (total or math.inf):
            print(line, flush=True)

    def stop(self) -> None:
        """The verb is over, or was stopped."""
        self._shown = False
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

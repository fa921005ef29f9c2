"""A bar of problems on a terminal; elsewhere (a log file) a plain line every so many problems."""

from __future__ import annotations

import math

from callbacks.pace import Pace


class ProblemBar:
    """The progress of one verb, from its start to its end."""

    def __init__(self, pace: Pace, verb: str, seen: int, total: int | None) -> None:
        import rich
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._pace = pace
        self._pace.start(seen)
        self._total = total
        self._progress: Progress | None = None
        if rich.get_console().is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TimeRemainingColumn(),
                console=rich.get_console(),
            )
            self._task = self._progress.add_task(verb, total=total, completed=seen)
            self._progress.start()

    def show(self, seen: int, line: str) -> None:
        """So many problems are done; `line` says how it went."""
        if self._progress is not None:
            self._progress.update(self._task, completed=seen, description=line)
        elif self._pace.due(seen) or seen >= (self._total or math.inf):
            print(line, flush=True)

    def stop(self) -> None:
        """The verb is over."""
        if self._progress is not None:
            self._progress.stop()

"""Tables in the loggers that show some."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class TakesTables(Protocol):
    """A logger that shows tables, as Lightning's WandbLogger does."""

    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: list[list[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None: ...


def log_table(
    loggers: Iterable[object], key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], position: int
) -> None:
    """Show a table in every logger that can."""
    for logger in loggers:
        if isinstance(logger, TakesTables):
            logger.log_table(key, columns=list(columns), data=[list(row) for row in rows], step=position)

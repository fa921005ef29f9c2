"""A text file that grows by the lines of each batch and is cut back to the cursor on resume."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from lightning.pytorch import Trainer

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import whole_file, written


def cut_torn_line(path: Path) -> None:
    """Removes what follows the last line break: a line cut off when its writer was killed."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with written(path):
                os.truncate(path, whole)


def take_up(trainer: Trainer, path: Path, resume_from: Callable[[Path], None]) -> None:
    """Every rank takes the whole lines that an interrupted run left in the file, if it is there."""
    if trainer.is_global_zero:
        path.parent.mkdir(parents=True, exist_ok=True)
        cut_torn_line(path)
    trainer.strategy.barrier(f"{path.name} is whole")
    if path.exists():
        resume_from(path)
    trainer.strategy.barrier(f"{path.name} is read")


def cut_to(path: Path, seen: int, position: Callable[[str], int]) -> None:
    """Keeps the whole lines whose position in the stream is at most `seen`; without a file, does nothing.

    Args:
        path: The log.
        seen: Problems that the resumed run has played.
        position: Problems that had been played when a line was written; raises ValueError or KeyError
            on what isn't a line of this log.

    Raises:
        UserError: A line can't be read (named with its number).
    """
    if not path.exists():
        return
    with (
        whole_file(path) as partial,
        path.open("rb") as old,
        partial.open("wb") as new,
    ):
        for number, line in enumerate(old, start=1):
            if not line.endswith(b"\n"):
                break  # cut off when the last run was killed
            try:
                keep = position(line.decode()) <= seen
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                raise UserError(
                    f"{path}, line {number}: not a line of this log ({error!r}); move the file away to go on"
                ) from error
            if keep:
                new.write(line)

"""Whether a run writes files, and in which folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch import Trainer

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.run_folder import run_folder_of


def run_folder(trainer: Trainer) -> Path:
    """The folder of the first logger that has one, or the trainer's root. For every rank: it broadcasts."""
    return Path(trainer.strategy.broadcast(str(run_folder_of(trainer.loggers, trainer.default_root_dir))))


def keeps_files(trainer: Trainer) -> bool:
    """Whether the run writes anything: `trainer.fast_dev_run` only tries whether it runs."""
    return not trainer.fast_dev_run  # type: ignore[attr-defined]


@contextmanager
def still_telling(exception: BaseException) -> Iterator[None]:
    """What ends a run is told, not that its last files can't be written either; others still write theirs."""
    try:
        yield
    except UserError as error:
        exception.add_note(str(error))

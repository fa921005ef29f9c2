"""A run of the trainer that owns the folder it writes to, from the command line or from Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only

from flowdpo_pl.modules.lost_rank import lost_ranks_told
from flowdpo_pl.modules.run_config import RunConfig, settings_digest
from flowdpo_pl.modules.run_logger import RunLogger
from flowdpo_pl.modules.run_place import require_newest
from flowdpo_pl.results.run_folder import COMMAND_LINE, Overwrite, RunFolder, Ways, run_folder_of


@contextmanager
def claimed_run(
    trainer: Trainer,
    verb: str,
    settings: str,
    checkpoint: str | Path | None,
    overwrite: Overwrite,
    ways: Ways = COMMAND_LINE,
) -> Iterator[None]:
    """Own the run's folder for the block, on the one rank that writes there, if anything is written.

    Args:
        trainer: its loggers say which folder.
        verb: `fit`, `validate`, `test` or `predict`.
        settings: the run's arguments as YAML, kept as `config.yaml`; empty: they can't be said.
        checkpoint: the file that a `fit` goes on from.
        overwrite: whether an earlier run may be replaced.
        ways: what a message tells the user to do.

    Raises:
        UserError: see `RunFolder.claimed`, `require_newest` and `lost_ranks_told`.
    """
    with lost_ranks_told(), _claimed(trainer, verb, settings, checkpoint, overwrite, ways):
        yield


@contextmanager
def _claimed(
    trainer: Trainer,
    verb: str,
    settings: str,
    checkpoint: str | Path | None,
    overwrite: Overwrite,
    ways: Ways,
) -> Iterator[None]:
    if rank_zero_only.rank or trainer.fast_dev_run:  # type: ignore[attr-defined]
        yield
        return
    folder = RunFolder(run_folder_of(trainer.loggers, trainer.default_root_dir), verb, ways)
    started_from = None if checkpoint is None else str(checkpoint)
    resumed = verb == "fit" and require_newest(started_from, folder.path, overwrite)
    digest = settings_digest(settings) if settings else ""
    with folder.claimed(digest, resumed=resumed, overwrite=overwrite) as replaced:
        first = RunConfig(settings, folder, replaced)
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.hold()
        trainer.callbacks.insert(0, first)  # type: ignore[attr-defined]
        try:
            yield
        finally:
            trainer.callbacks.remove(first)  # type: ignore[attr-defined]

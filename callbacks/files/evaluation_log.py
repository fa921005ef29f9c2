"""One set-up for what keeps the results of `test` and of `predict` while they grow."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.files.batch_log import take_up
from callbacks.watching.own_files import OwnFiles
from callbacks.watching.run_files import keeps_files, run_folder
from callbacks.watching.watched_modules import EvaluatedModule, evaluated
from flowdpo_pl.made_with import MadeWith


class EvaluationLog(MadeWith, Callback, OwnFiles):
    """Follows one verb and leaves the others alone. An interrupted run goes on from the file that grows.

    `trainer.fast_dev_run` writes and takes up nothing.
    """

    verb: ClassVar[str]
    file_name: ClassVar[str]
    """Of the file that grows."""

    folder: Path
    """The run folder, from `setup` on."""
    _module: EvaluatedModule
    _following = False

    @property
    def path(self) -> Path:
        """The file that grows."""
        return self.folder / self.file_name

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == self.verb:
            self._module = evaluated(self, pl_module)
            self.require_own_files(trainer)
            self.folder = run_folder(trainer)

    def start(self, trainer: Trainer) -> None:
        """Every rank takes what an interrupted run left; rank zero goes on writing."""
        if keeps_files(trainer):
            take_up(trainer, self.path, self._module.resume_from)
            self._following = trainer.is_global_zero

"""One set of hooks for `fit` and for `validate`, which both play a stream of problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from callbacks.watching.batch_values import BatchValues
from callbacks.watching.own_files import OwnFiles
from callbacks.watching.run_files import keeps_files, run_folder, still_telling
from callbacks.watching.watched_modules import PlayedModule, played
from flowdpo_pl.made_with import MadeWith
from flowdpo_pl.results.atomic_writes import written


class PlayCallback(MadeWith, Callback, OwnFiles):
    """Base of the callbacks that only watch: it calls the three `play_*` methods below.

    They are called by `fit` and by a `validate` of its own (not for a validation inside `fit`, whose
    problems are others), on rank zero.
    """

    writes: ClassVar[bool] = True
    """Whether it is about files alone, which `trainer.fast_dev_run` leaves out."""

    folder: Path
    """The run folder, from `setup` on."""
    verb: str
    """`fit` or `validate`, from `setup` on."""
    keeps: bool
    """Whether the run writes files, from `play_started` on."""
    _module: PlayedModule
    _following = False

    def play_started(self, module: PlayedModule, seen: int) -> None:
        """The stream goes on from position `seen`; 0 is a fresh run."""

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        """A batch was played and learnt from."""

    def play_ended(self, module: PlayedModule, stopped_by: BaseException | None) -> None:
        """The run is over, or was stopped by an exception after it had started."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self.verb = TrainerFn(stage).value
        if stage in (TrainerFn.FITTING, TrainerFn.VALIDATING):
            self._module = played(self, pl_module)
            self.require_own_files(trainer)
            self.folder = run_folder(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start(trainer, self._module.problems_seen)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.verb == TrainerFn.VALIDATING:
            self._start(trainer, 0)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch(outputs)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self.verb == TrainerFn.VALIDATING:
            self._batch(outputs)

    # on_fit_end rather than on_train_end: by then the last checkpoint is written.
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end(None)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.verb == TrainerFn.VALIDATING:
            self._end(None)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        with still_telling(exception):
            self._end(exception)

    def _start(self, trainer: Trainer, seen: int) -> None:
        self.keeps = keeps_files(trainer)
        if (self.keeps or not self.writes) and trainer.is_global_zero:
            if self.keeps:
                with written(self.folder):
                    self.folder.mkdir(parents=True, exist_ok=True)
            self.play_started(self._module, seen)
            self._following = True

    def _batch(self, outputs: BatchValues | None) -> None:
        if self._following and outputs:
            self.batch_played(self._module, outputs)

    def _end(self, stopped_by: BaseException | None) -> None:
        if self._following:
            self._following = False  # an exception in play_ended must not call it again
            self.play_ended(self._module, stopped_by)

"""What all checkpoints of a training have in common: when, by whom, and never half of a file."""

from __future__ import annotations

import os
import signal
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from callbacks.files.interruption import SIGNALS, Interruption
from callbacks.files.slurm_job import REQUEUE, SlurmJob
from callbacks.watching.pace import Pace
from callbacks.watching.run_files import keeps_files, run_folder
from callbacks.watching.watched_modules import TrainedModule
from flowdpo_pl.errors import Interrupted, UserError
from flowdpo_pl.made_with import MadeWith
from flowdpo_pl.results.atomic_writes import partial_of, publish_file, remove_partials


class PacedCheckpoint(MadeWith, Checkpoint, ABC):
    """Saves at its pace, at the end, and when an exception or a signal stops the run.

    Between two batches, and while a batch is played, the state is that of the last batch's end, and is saved.
    Once weights or counts change it is not: then a signal waits for the end of the batch, and after an
    exception the last checkpoint stays the newest. A first Ctrl-C or SIGTERM saves at once, if possible, and
    ends the run after the batch; a second one ends it at once. In a SLURM job SIGUSR1 does the same and puts
    the job back into the queue. Of several ranks rank 0 saves, which needs none of the others, and all end
    after the same batch, whichever of them was asked. `trainer.fast_dev_run` saves nothing.
    """

    folder: Path
    """The run folder, from `setup` on."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._trainer: Trainer | None = None  # while it trains
        self._job: SlurmJob | None = None
        self._requeued = ""
        """What was said of it."""
        self._interruption = Interruption(self._asked_to_end)
        self._between_batches: bool | None = None  # None: nothing was trained, or saving has failed

    @abstractmethod
    def follow(self, module: LightningModule) -> TrainedModule:
        """Remembers the module, or refuses it."""

    @abstractmethod
    def position(self, trainer: Trainer) -> int:
        """What the pace counts."""

    @abstractmethod
    def save(self, trainer: Trainer) -> None:
        """Saves the run as it is now; called on every rank."""

    def take_up(self, trainer: Trainer) -> None:
        """Puts the folder in order when training starts or goes on; called on every rank."""

    @abstractmethod
    def newest(self) -> str:
        """Which checkpoint is the newest, in words."""

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit" or not keeps_files(trainer):
            return
        self._followed = self.follow(pl_module)
        self._require_no_other(trainer)
        self._listen_for_slurm(trainer)
        self.folder = run_folder(trainer)
        if trainer.is_global_zero:
            for place in (self.folder, self.checkpoints, self.folder / "adapters"):
                remove_partials(place)

    def _listen_for_slurm(self, trainer: Trainer) -> None:
        """Before Lightning does, which would save inside the handler; training has not begun."""
        self._job = SlurmJob.here()
        if self._job is None or threading.current_thread() is not threading.main_thread():
            return

        def heard(number: int, frame: Any) -> None:
            if trainer.is_global_zero:
                os.write(2, f"\nasked to end before anything was learnt: {self._requeue()}\n".encode())
            raise Interrupted(number)

        signal.signal(REQUEUE, heard)
        self._interruption = Interruption(self._asked_to_end, (*SIGNALS, REQUEUE))

    def _requeue(self) -> str:
        """Once; what to tell the user."""
        if self._job is not None and not self._requeued:
            self._requeued = self._job.requeue()
        return self._requeued

    def _require_no_other(self, trainer: Trainer) -> None:
        """Lightning's own checkpoints stand in the same folder, and `--ckpt_path=best` could mean either."""
        for other in trainer.checkpoint_callbacks:
            if not isinstance(other, PacedCheckpoint):  # one of ours is refused by its module
                raise UserError(
                    f"trainer.callbacks has {type(self).__name__} and {type(other).__name__}, which both "
                    "write checkpoints: leave one of them."
                )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not keeps_files(trainer):
            return
        self._trainer = trainer
        self._pace.start(self.position(trainer))
        self.take_up(trainer)
        self._interruption.start()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.world_size == 1:
            self._end_if_asked(trainer)
        if self._trainer is not None:
            self._between_batches = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._trainer is None:
            return
        self._between_batches = True
        if self._pace.due(self.position(trainer)):
            self._save_once(trainer)
        self._end_if_asked(trainer)

    def _end_if_asked(self, trainer: Trainer) -> None:
        """
        Raises:
            Interrupted: a signal came, on this rank or on another one.
        """
        asked = self._interruption.signal
        if not trainer.strategy.reduce_boolean_decision(asked is not None, all=False):
            return
        requeues = trainer.strategy.reduce_boolean_decision(asked == REQUEUE, all=False)
        if trainer.is_global_zero and (requeues or trainer.world_size > 1):
            self._save_once(trainer)
        trainer.strategy.barrier("saved")  # whoever ends first may have the others killed by their launcher
        if requeues:
            asked = REQUEUE
            if told := self._requeue() if trainer.is_global_zero else "":
                trainer.print(told)
        raise Interrupted(asked or signal.SIGTERM)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._trainer is not None:
            self._save_once(trainer)
            self._interruption.stop()
            self._trainer = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._trainer is None:
            return
        self._interruption.stop()
        if self._can_save:
            self._save_once(trainer)
            trainer.print(f"Saved ({self.newest()}): the same command with --ckpt_path=last goes on.")
        elif self._between_batches is not None:
            trainer.print(f"Stopped inside a batch; the newest checkpoint is {self.newest()}.")
        self._trainer = None

    def _asked_to_end(self, number: int) -> str:
        assert self._trainer is not None
        if not self._trainer.is_global_zero:
            return ""
        if self._can_save:
            self._save_once(self._trainer)
            requeued = f"{self._requeue()}; " if number == REQUEUE else ""
            return (
                f"asked to end: saved ({self.newest()}); {requeued}the batch is finished; "
                "ask again to end at once."
            )
        return (
            "asked to end: the batch is learnt first and saved; ask again to end at once, which falls back "
            f"on the newest checkpoint ({self.newest()})."
        )

    @property
    def _can_save(self) -> bool:
        """Whether this rank saves, and the state is that of the end of a batch; never while it is saved."""
        assert self._trainer is not None
        known = self._between_batches or (self._between_batches is False and self._followed.at_boundary)
        return known and self._trainer.is_global_zero

    def _save_once(self, trainer: Trainer) -> None:
        where = self._between_batches
        self._between_batches = None  # if it fails, on_exception must not try again
        self.save(trainer)
        self._between_batches = where


def write_checkpoint(trainer: Trainer, path: Path) -> None:
    """Writes the trainer's checkpoint, whole or not at all; rank 0 does, and waits for no other."""
    trainer.save_checkpoint(partial_of(path), weights_only=False)
    if trainer.is_global_zero:
        publish_file(partial_of(path), path)

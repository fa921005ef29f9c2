"""What all checkpoints of a training have in common: when, by whom, and never half of a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from callbacks.pace import Pace
from callbacks.play_callback import run_folder
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import partial_of, publish_file, remove_partials


class PacedCheckpoint(Checkpoint, ABC):
    """Saves at its pace, at the end, and when an exception stops the run between two batches.

    Inside a batch the weights may be half updated: then the last checkpoint stays the newest. With several
    ranks an exception saves nothing, since the other ranks couldn't take part.
    """

    folder: Path
    """The run folder, from `setup` on."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._between_batches: bool | None = None  # None: nothing was trained, or saving has failed

    @abstractmethod
    def follow(self, module: LightningModule) -> None:
        """Remembers the module, or refuses it."""

    @abstractmethod
    def position(self, trainer: Trainer) -> int:
        """What the pace counts."""

    @abstractmethod
    def save(self, trainer: Trainer) -> None:
        """Saves the run as it is now; called on every rank."""

    @abstractmethod
    def newest(self) -> str:
        """Which checkpoint is the newest, in words."""

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        self.follow(pl_module)
        self._require_no_other(trainer)
        self.folder = run_folder(trainer)
        if trainer.is_global_zero:
            for place in (self.folder, self.checkpoints, self.folder / "adapters"):
                remove_partials(place)

    def _require_no_other(self, trainer: Trainer) -> None:
        """Lightning's own checkpoints stand in the same folder, and `--ckpt_path=best` could mean either."""
        for other in trainer.checkpoint_callbacks:
            if not isinstance(other, PacedCheckpoint):  # one of ours is refused by its module
                raise UserError(
                    f"trainer.callbacks has {type(self).__name__} and {type(other).__name__}, which both "
                    "write checkpoints: leave one of them."
                )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pace.start(self.position(trainer))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._between_batches = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._between_batches = True
        if self._pace.due(self.position(trainer)):
            self._save_once(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save_once(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._between_batches and trainer.world_size == 1:
            self._save_once(trainer)
        elif self._between_batches is not None:
            trainer.print(f"Stopped inside a batch; the newest checkpoint is {self.newest()}.")

    def _save_once(self, trainer: Trainer) -> None:
        self._between_batches = None  # if saving fails, on_exception must not try again
        self.save(trainer)
        self._between_batches = True


def write_checkpoint(trainer: Trainer, path: Path) -> None:
    """Writes the trainer's checkpoint, whole or not at all; to be called on every rank."""
    trainer.save_checkpoint(partial_of(path), weights_only=False)
    if trainer.is_global_zero:
        publish_file(partial_of(path), path)

"""Checkpoints of supervised fine-tuning, paced by optimizer steps."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from callbacks.pace import Pace
from callbacks.play_callback import run_folder
from callbacks.taught_module import TaughtModule, taught
from flowdpo_pl.results.atomic_writes import partial_of, publish_file, remove_partials, whole_folder


class SFTCheckpoint(Checkpoint):
    """Saves `checkpoints/last.ckpt` and, in PEFT's format, `adapter/` in the run folder.

    Both are written every so many optimizer steps, at the end, and when an exception stops the run between
    two batches; with several ranks an exception saves nothing. Each is whole or absent. The checkpoint
    holds the adapter (not the frozen base), the optimizer and the position in the data; it loads with
    `torch.load(..., weights_only=True)`.

    Args:
        every_n_steps: Optimizer steps between two checkpoints.
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        self._pace = Pace(every_n_steps, "every_n_steps")
        self._between_batches = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        taught(self, pl_module)
        self._folder = run_folder(trainer)
        if trainer.is_global_zero:
            for place in (self._folder, self._folder / "checkpoints"):
                remove_partials(place)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pace.start(trainer.global_step)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._between_batches = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._between_batches = True
        if self._pace.due(trainer.global_step):
            self._save(trainer, taught(self, pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save(trainer, taught(self, pl_module))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._between_batches and trainer.world_size == 1:
            self._save(trainer, taught(self, pl_module))

    def _save(self, trainer: Trainer, module: TaughtModule) -> None:
        self._between_batches = False  # if saving fails, on_exception must not try again
        checkpoint = self._folder / "checkpoints" / "last.ckpt"
        trainer.save_checkpoint(partial_of(checkpoint), weights_only=False)  # on every rank
        if trainer.is_global_zero:
            publish_file(partial_of(checkpoint), checkpoint)
            with whole_folder(self._folder / "adapter") as folder:
                module.save_adapter(folder)
        self._between_batches = True

"""Checkpoints of supervised fine-tuning, paced by optimizer steps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.files.paced_checkpoint import PacedCheckpoint, write_checkpoint
from callbacks.watching.pace import Pace
from callbacks.watching.watched_modules import TrainedModule, taught
from flowdpo_pl.results.atomic_writes import whole_folder, written
from flowdpo_pl.results.checkpoint_files import PREVIOUS, is_whole


class SFTCheckpoint(PacedCheckpoint):
    """Saves `checkpoints/last.ckpt` and, in PEFT's format, `adapter/` in the run folder.

    Both are written every so many optimizer steps, at the end, and when an exception or a signal stops the
    run between two batches (`PacedCheckpoint`). Each is whole or absent. The checkpoint holds the adapter
    (not the frozen base), the optimizer and the position in the data; it loads with
    `torch.load(..., weights_only=True)`. What it was before stands beside it as `previous.ckpt`, from which a
    run goes on where `last.ckpt` is spoilt.

    Args:
        every_n_steps: Optimizer steps between two checkpoints.
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        super().__init__(Pace(every_n_steps, "every_n_steps"))
        self._saved: int | None = None
        self._wrote_last = False

    def state_dict(self) -> dict[str, Any]:
        return {"saved": self._saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = state_dict["saved"]

    @property
    def last(self) -> Path:
        return self.checkpoints / "last.ckpt"

    def follow(self, module: LightningModule) -> TrainedModule:
        self._module = taught(self, module)
        return self._module

    def position(self, trainer: Trainer) -> int:
        return trainer.global_step

    def save(self, trainer: Trainer) -> None:
        self._saved = trainer.global_step  # before saving: the checkpoint holds this callback's state
        if trainer.is_global_zero:
            with whole_folder(self.folder / "adapter") as folder:
                self._module.save_adapter(folder)
            with written(self.last):
                if self._wrote_last or is_whole(self.last):  # a spoilt one replaces no whole one
                    os.replace(self.last, self.checkpoints / PREVIOUS)
        write_checkpoint(trainer, self.last)  # behind all that belongs to it
        self._wrote_last = True

    def newest(self) -> str:
        return "none" if self._saved is None else f"{self.last}, after {self._saved} steps"

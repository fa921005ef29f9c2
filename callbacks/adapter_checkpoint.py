"""Checkpoints of what was trained, paced by problems."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.batch_values import BatchValues
from callbacks.pace import Pace
from callbacks.paced_checkpoint import PacedCheckpoint, write_checkpoint
from callbacks.watched_modules import played
from flowdpo_pl.errors import LIMIT, require_within
from flowdpo_pl.results.atomic_writes import whole_file, whole_folder


class AdapterCheckpoint(PacedCheckpoint):
    """Saves `checkpoints/` and, in PEFT's format, `adapters/` in the run folder.

    `problems_000160.ckpt` is written every so many problems, copied to `last.ckpt`, and to `best.ckpt` when
    the accuracy over the latest problems is the highest yet (once the window is full). Beside them
    `adapters/problems_000160/<agent>/`, `adapters/last/` and `adapters/best/` hold each agent's adapter.
    Every file is whole or absent. The checkpoints hold what the module's state dict holds (adapters, not
    the frozen base), the optimizer and all cursors; they load with `torch.load(..., weights_only=True)`.

    The run is also saved when it ends and when an exception stops it between two batches. Inside a batch the
    agents may be half updated: then the last checkpoint stays the newest. With several ranks an
    exception saves nothing, since the other ranks couldn't take part.

    Args:
        every_n_problems: Problems between two checkpoints.
        keep_best: Whether to keep `best.ckpt`.
        keep_last: How many numbered checkpoints to keep, the newest ones; None keeps all.
    """

    def __init__(
        self, every_n_problems: int = 160, keep_best: bool = True, keep_last: int | None = 3
    ) -> None:
        super().__init__(Pace(every_n_problems))
        require_within(LIMIT, {"keep_last": keep_last})
        self.best_model_path = ""
        """Where Lightning looks for `ckpt_path="best"`; empty until there is a best one."""
        self.keep_best = keep_best
        self.keep_last = keep_last
        self._saved: list[int] = []
        self._best_accuracy: float | None = None
        self._best_problems: int | None = None
        self._values: BatchValues = {}

    @property
    def adapters(self) -> Path:
        return self.folder / "adapters"

    def state_dict(self) -> dict[str, Any]:
        return {
            "saved": self._saved,
            "best_window_accuracy": self._best_accuracy,
            "best_problems": self._best_problems,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = list(state_dict["saved"])
        self._best_accuracy = state_dict["best_window_accuracy"]
        self._best_problems = state_dict["best_problems"]

    def follow(self, module: LightningModule) -> None:
        self._module = played(self, module)

    def position(self, trainer: Trainer) -> int:
        return self._module.problems_seen

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        best = self.checkpoints / "best.ckpt"
        self.best_model_path = str(best) if self._best_problems is not None and best.exists() else ""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._values = outputs or {}
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def newest(self) -> str:
        last = self.checkpoints / "last.ckpt"
        return f"{last}, after {self._saved[-1]} problems" if self._saved else "none"

    def save(self, trainer: Trainer) -> None:
        seen = self._module.problems_seen
        if seen == 0 or self._saved[-1:] == [seen]:
            return
        copies = ["last"]
        if self._improves(seen):
            copies.append("best")
            self.best_model_path = str(self.checkpoints / "best.ckpt")
        numbers = [*(number for number in self._saved if number < seen), seen]
        kept = numbers if self.keep_last is None else numbers[-self.keep_last :]
        self._saved = kept  # before saving: the checkpoint holds this callback's state
        name = _numbered(seen)
        checkpoint, adapters = self.checkpoints / f"{name}.ckpt", self.adapters / name
        write_checkpoint(trainer, checkpoint)
        if trainer.is_global_zero:
            with whole_folder(adapters) as folder:
                self._module.save_adapters(folder)
            for copy in copies:
                with whole_file(self.checkpoints / f"{copy}.ckpt") as file:
                    shutil.copyfile(checkpoint, file)
                with whole_folder(self.adapters / copy) as folder:
                    shutil.copytree(adapters, folder)
            for number in set(numbers) - set(kept):
                (self.checkpoints / f"{_numbered(number)}.ckpt").unlink(missing_ok=True)
                shutil.rmtree(self.adapters / _numbered(number), ignore_errors=True)

    def _improves(self, seen: int) -> bool:
        """Whether the full window is the best yet, which is remembered."""
        if not self.keep_best or not self._values.get("window_full"):
            return False
        accuracy = float(self._values["window_accuracy"])
        if self._best_accuracy is not None and accuracy <= self._best_accuracy:
            return False
        self._best_accuracy, self._best_problems = accuracy, seen
        return True


def _numbered(problems: int) -> str:
    return f"problems_{problems:06d}"

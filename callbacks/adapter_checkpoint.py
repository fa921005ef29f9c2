"""Checkpoints of what was trained, paced by problems."""

from __future__ import annotations

import filecmp
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.files.paced_checkpoint import PacedCheckpoint, write_checkpoint
from callbacks.watching.batch_values import BatchValues
from callbacks.watching.pace import Pace
from callbacks.watching.watched_modules import TrainedModule, played
from flowdpo_pl.errors import LIMIT, require_within
from flowdpo_pl.results.atomic_writes import whole_file, whole_folder


class AdapterCheckpoint(PacedCheckpoint):
    """Saves `checkpoints/` and, in PEFT's format, `adapters/` in the run folder.

    `problems_000160.ckpt` is written every so many problems, copied to `last.ckpt`, and to `best.ckpt` when
    the accuracy over the latest problems is the highest yet (once the window is full). Beside them
    `adapters/problems_000160/<agent>/`, `adapters/last/` and `adapters/best/` hold each agent's adapter.
    Every file is whole or absent. The checkpoints hold what the module's state dict holds (adapters, not
    the frozen base), the optimizer and all cursors; they load with `torch.load(..., weights_only=True)`.

    The run is also saved when it ends, when an exception stops it, and at a first Ctrl-C or SIGTERM, wherever
    its state is that of a batch's end (`PacedCheckpoint`). A run that goes on from a checkpoint of another
    folder, or from an earlier one of its own, first makes this folder that of its checkpoint: `last` and
    `best` are its own, and nothing later stays.

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

    def follow(self, module: LightningModule) -> TrainedModule:
        self._module = played(self, module)
        return self._module

    def position(self, trainer: Trainer) -> int:
        return self._module.problems_seen

    def take_up(self, trainer: Trainer) -> None:
        seen, came_from = self._module.problems_seen, trainer.ckpt_path
        if came_from is None or seen == 0:
            return
        here = {number for number in _numbers(self.checkpoints) if number <= seen}
        self._saved = [number for number in self._saved if number in here]
        best = self._best_among((self.checkpoints, Path(came_from).parent))
        if trainer.is_global_zero:
            for number in _numbers(self.checkpoints) - here:
                self._remove(_numbered(number))
            if best is None:
                self._remove("best")
            elif best != self.checkpoints:
                self._copy(best / "best.ckpt", best.parent / "adapters" / "best", "best")
        trainer.strategy.barrier("the folder is the checkpoint's")
        if best is None:
            self._best_accuracy = self._best_problems = None
        self.best_model_path = "" if best is None else str(self.checkpoints / "best.ckpt")
        last, numbered = (self.checkpoints / f"{name}.ckpt" for name in ("last", _numbered(seen)))
        if not (last.exists() and numbered.exists() and filecmp.cmp(last, numbered, shallow=False)):
            self._saved = [number for number in self._saved if number != seen]
            self.save(trainer)

    def _best_among(self, folders: Iterable[Path]) -> Path | None:
        """The folder whose `best.ckpt` is the one that this run remembers."""
        for folder in folders:
            path = folder / "best.ckpt"
            if path.is_file() and self._best_problems == self._best_of(path):
                return folder
        return None

    def _best_of(self, path: Path) -> int | None:
        import torch

        states: Mapping[str, Any] = torch.load(path, weights_only=True, map_location="cpu")["callbacks"]
        found: int | None = states.get(self.state_key, {}).get("best_problems")
        return found

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
                self._copy(checkpoint, adapters, copy)
            for number in set(numbers) - set(kept):
                self._remove(_numbered(number))

    def _copy(self, checkpoint: Path, adapters: Path, name: str) -> None:
        with whole_file(self.checkpoints / f"{name}.ckpt") as file:
            shutil.copyfile(checkpoint, file)
        with whole_folder(self.adapters / name) as folder:
            shutil.copytree(adapters, folder)

    def _remove(self, name: str) -> None:
        (self.checkpoints / f"{name}.ckpt").unlink(missing_ok=True)
        shutil.rmtree(self.adapters / name, ignore_errors=True)

    def _improves(self, seen: int) -> bool:
        """Whether the full window is the best yet, which is remembered."""
        if not self.keep_best or not self._values.get("window_full"):
            return False
        accuracy = float(self._values["window_accuracy"])
        if self._best_accuracy is not None and accuracy <= self._best_accuracy:
            return False
        self._best_accuracy, self._best_problems = accuracy, seen
        return True


def _numbers(checkpoints: Path) -> set[int]:
    """Problems after which there is a checkpoint in this folder."""
    found = (re.fullmatch(r"problems_(\d+)\.ckpt", path.name) for path in checkpoints.glob("problems_*.ckpt"))
    return {int(match[1]) for match in found if match}


def _numbered(problems: int) -> str:
    return f"problems_{problems:06d}"

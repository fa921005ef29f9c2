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
from flowdpo_pl.errors import LIMIT, UserError, require_within
from flowdpo_pl.results.atomic_writes import copied, remove, whole_file, whole_folder
from flowdpo_pl.results.checkpoint_files import held_by, is_whole


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
        here = {number for number in self._numbers() if number <= seen}
        self._saved = [number for number in self._saved if number in here]
        best = self._best_among((self.checkpoints, Path(came_from).parent))
        if trainer.is_global_zero:
            for number in self._numbers() - here:
                self._remove(_numbered(number))
            if best is None:
                self._remove("best")
            elif best != self.checkpoints / "best.ckpt" or not (self.adapters / "best").is_dir():
                self._take(trainer.lightning_module, best, "best")
        trainer.strategy.barrier("the folder is the checkpoint's")
        if best is None:
            self._best_accuracy = self._best_problems = None
        self.best_model_path = "" if best is None else str(self.checkpoints / "best.ckpt")
        in_order = trainer.is_global_zero and self._put_in_order(_numbered(seen), Path(came_from))
        if not trainer.strategy.broadcast(in_order):
            self._saved = [number for number in self._saved if number != seen]
            self.save(trainer)

    def _put_in_order(self, name: str, came_from: Path) -> bool:
        """Make `last` the numbered checkpoint that the run comes from; False if that is not there whole."""
        last, numbered = (self.checkpoints / f"{one}.ckpt" for one in ("last", name))
        there = [is_whole(path) and (self.adapters / path.stem).is_dir() for path in (last, numbered)]
        if all(there) and filecmp.cmp(last, numbered, shallow=False):
            return True
        if not there[1] or not filecmp.cmp(numbered, came_from, shallow=False):
            return False
        self._copy(numbered, self.adapters / name, "last")
        return True

    def _numbers(self) -> set[int]:
        """Problems after which there is a checkpoint, or adapters alone."""
        return _numbers(self.checkpoints, ".ckpt") | _numbers(self.adapters, "")

    def _best_among(self, folders: Iterable[Path]) -> Path | None:
        """The checkpoint that this run remembers as its best: the copy, or the numbered one."""
        if self._best_problems is None:
            return None
        for folder in folders:
            numbered = folder / f"{_numbered(self._best_problems)}.ckpt"
            if is_whole(numbered):
                return numbered
            path = folder / "best.ckpt"
            if is_whole(path) and self._best_problems == self._best_of(path):
                return path
        return None

    def _best_of(self, path: Path) -> int | None:
        states = held_by(path).get("callbacks")
        own = states.get(self.state_key) if isinstance(states, Mapping) else None
        found: int | None = own.get("best_problems") if isinstance(own, Mapping) else None
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
        copies = ["last"]  # the last of all: where it is, everything before it is there
        if self._improves(seen):
            copies.insert(0, "best")
            self.best_model_path = str(self.checkpoints / "best.ckpt")
        numbers = [*(number for number in self._saved if number < seen), seen]
        kept = numbers if self.keep_last is None else numbers[-self.keep_last :]
        self._saved = kept  # before saving: the checkpoint holds this callback's state
        name = _numbered(seen)
        checkpoint, adapters = self.checkpoints / f"{name}.ckpt", self.adapters / name
        if trainer.is_global_zero:
            with whole_folder(adapters) as folder:
                self._module.save_adapters(folder)
        write_checkpoint(trainer, checkpoint)  # behind all that belongs to it
        if trainer.is_global_zero:
            for number in set(numbers) - set(kept):
                self._remove(_numbered(number))
            for copy in copies:
                self._copy(checkpoint, adapters, copy)

    def _take(self, module: LightningModule, checkpoint: Path, name: str) -> None:
        """Copies a checkpoint and writes its adapters, which may lie nowhere else."""
        own = {key: value.clone() for key, value in module.state_dict().items()}
        module.load_state_dict(_weights(checkpoint))
        with whole_folder(self.adapters / name) as folder:
            self._module.save_adapters(folder)
        module.load_state_dict(own)
        if checkpoint != (copy := self.checkpoints / f"{name}.ckpt"):
            with whole_file(copy) as file:
                shutil.copyfile(checkpoint, file)

    def _copy(self, checkpoint: Path, adapters: Path, name: str) -> None:
        with whole_folder(self.adapters / name) as folder:
            copied(adapters, folder)
        with whole_file(self.checkpoints / f"{name}.ckpt") as file:
            shutil.copyfile(checkpoint, file)

    def _remove(self, name: str) -> None:
        remove(self.checkpoints / f"{name}.ckpt")
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


def _weights(checkpoint: Path) -> dict[str, Any]:
    """
    Raises:
        UserError: the checkpoint holds none.
    """
    weights = held_by(checkpoint, mmap=False).get("state_dict")
    if not isinstance(weights, dict):
        raise UserError(f"{checkpoint} holds no weights of a run: move it away to go on.")
    return weights


def _numbers(folder: Path, ending: str) -> set[int]:
    """Those of the names `problems_…` in a folder."""
    found = (re.fullmatch(rf"problems_(\d+){ending}", path.name) for path in folder.glob("problems_*"))
    return {int(match[1]) for match in found if match}


def _numbered(problems: int) -> str:
    return f"problems_{problems:06d}"

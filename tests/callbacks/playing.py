"""A module that plays no language model: it draws trees and trains two small adapters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors.torch import save_file
from torch.utils.data import DataLoader, IterableDataset

from flowdpo_pl.measure.chooser_confusion import chooser_rates
from flowdpo_pl.measure.fixed_accuracy import FixedAccuracy
from flowdpo_pl.measure.tree_statistics import tree_statistics
from flowdpo_pl.types import RolloutTree
from tests.example_trees import random_tree

BATCH = 4
WINDOW = 8


class Stream(IterableDataset[int]):
    """The problems' numbers; its length is not known to Lightning, which would count batches otherwise."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.end))


def do_nothing(problems_seen: int) -> None:
    """The usual `before_batch`."""


class Playing(LightningModule):
    """Plays `max_problems` problems, four at a time; uses the global generator, which callbacks must not.

    `while_played` is called where nothing of a batch counts yet, `before_batch` where it may be half learnt.
    """

    def __init__(
        self,
        max_problems: int = 16,
        before_batch: Callable[[int], None] = do_nothing,
        while_played: Callable[[int], None] = do_nothing,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.max_problems = max_problems
        self.before_batch = before_batch
        self.while_played = while_played
        torch.manual_seed(3)
        self.adapters = torch.nn.ModuleDict({agent: torch.nn.Linear(3, 3) for agent in ("answer", "stop")})
        self.accuracy = FixedAccuracy(window=WINDOW)  # has what either verb measures
        self.problems_seen = 0
        self.at_boundary = False
        self.trees: tuple[RolloutTree, ...] = ()
        self.seed = 7
        self.score_margin = 0.0

    @property
    def problems_expected(self) -> int:
        return self.max_problems

    @property
    def ended_by(self) -> str:
        return "max_problems"

    def identity(self) -> dict[str, object]:
        return {"base": "none", "agents": ["answer", "stop"]}

    def train_dataloader(self) -> DataLoader[int]:
        return DataLoader(Stream(self.problems_seen, self.max_problems), batch_size=BATCH)

    def val_dataloader(self) -> DataLoader[int]:
        return DataLoader(Stream(0, self.max_problems), batch_size=BATCH)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.adapters.parameters(), lr=0.01)

    def on_validation_start(self) -> None:
        self.problems_seen = 0
        self.accuracy.reset()

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> dict[str, float]:
        self.at_boundary = True
        self.while_played(self.problems_seen)
        self.at_boundary = False
        self.before_batch(self.problems_seen)
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        noise = torch.randn(3)
        loss = sum((layer(noise) ** 2).sum() for layer in self.adapters.values())
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        values = self.play(batch)
        if self.problems_seen >= self.max_problems:
            self.trainer.should_stop = True
        return values

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> dict[str, float]:
        return self.play(batch)

    def play(self, batch: torch.Tensor) -> dict[str, float]:
        self.trees = tuple(random_tree(int(problem)) for problem in batch)
        self.accuracy.update(torch.tensor([tree.main.correct for tree in self.trees]))
        self.problems_seen += len(self.trees)
        running = {name: value.item() for name, value in self.accuracy.compute().items()}
        return {
            **running,
            **tree_statistics(self.trees, ("answer", "stop")),
            "problems": len(self.trees),
            "generated_tokens": 100,
            "seconds/play": 0.5,
            "seconds/score": 0.25,
            "seconds/update": 0.125,
            "peak_memory_bytes": 1000 + self.problems_seen,
            **self.chosen(),
            "answer/margin": self.problems_seen / 10,
            "stop/margin": float("nan"),
        }

    def chosen(self) -> dict[str, float]:
        """What Stop said in this batch: never asked of a right answer."""
        counts = {
            "nodes/none": 3,
            "nodes/wrong": 1,
            "nodes/right": 0,
            "finished/none": 2,
            "finished/wrong": 0,
        }
        counts |= {"finished/right": 0, "early": 2, "late": 0, "cut": 1, "chains": 4}
        named = {f"chooser/{name}": float(count) for name, count in counts.items()}
        return named | chooser_rates(named)

    def save_adapters(self, directory: Path) -> None:
        for agent, layer in self.adapters.items():
            (directory / agent).mkdir(parents=True)
            save_file(dict(layer.state_dict()), directory / agent / "adapter_model.safetensors")
            (directory / agent / "adapter_config.json").write_text("{}")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["cursor"] = self.problems_seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.problems_seen = checkpoint["cursor"]


def trainer(folder: Path, *callbacks: Callback, **kwargs: Any) -> Trainer:
    """A quiet trainer on CPU that writes to `folder`; the module stops it."""
    warnings.filterwarnings("ignore", module="lightning")
    return Trainer(
        accelerator="cpu",
        max_epochs=-1,
        logger=False,
        enable_checkpointing=kwargs.pop("enable_checkpointing", False),
        enable_progress_bar=kwargs.pop("enable_progress_bar", False),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=kwargs.pop("limit_val_batches", 0),
        default_root_dir=folder,
        callbacks=list(callbacks),
        **kwargs,
    )


def fit(folder: Path, *callbacks: Callback, module: Playing | None = None, **kwargs: Any) -> Playing:
    """Trains a module, which begins with the same weights and draws each time; `ckpt_path` resumes."""
    ckpt_path = kwargs.pop("ckpt_path", None)
    module = module or Playing()
    trainer(folder, *callbacks, **kwargs).fit(module, ckpt_path=ckpt_path, weights_only=True)
    return module


def validate(folder: Path, *callbacks: Callback, module: Playing | None = None, **kwargs: Any) -> Playing:
    """Plays the stream without training."""
    module = module or Playing()
    trainer(folder, *callbacks, limit_val_batches=1.0, **kwargs).validate(module, verbose=False)
    return module


class Stopped(Exception):
    """Raised by tests to stop a run."""


def stop_at(problems: int) -> Callable[[int], None]:
    """For `Playing.before_batch`: stops the run inside the batch that begins there."""

    def check(seen: int) -> None:
        if seen == problems:
            raise Stopped

    return check

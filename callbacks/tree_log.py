"""Keeps every rollout tree."""

from __future__ import annotations

import json

from lightning.pytorch import LightningModule, Trainer

from callbacks.files.batch_log import append_lines, cut_to
from callbacks.watching.batch_values import BatchValues
from callbacks.watching.play_callback import PlayCallback
from callbacks.watching.watched_modules import PlayedModule
from flowdpo_pl.results.tree_io import tree_to_dict


class TreeLog(PlayCallback):
    """Writes each batch's rollout trees to `trees.jsonl` in the run folder, one tree a line.

    The form of a line is documented in `flowdpo_pl.results.tree_io`, whose `read_trees` reads the file back;
    `problems_seen` is added, the stream's position after the batch. On resume, later lines are removed.
    In a run of several ranks each writes its own share, `trees.rank1.jsonl` and so on.
    """

    files = ("trees.jsonl",)
    on_every_rank = True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self._name = "trees.jsonl" if trainer.global_rank == 0 else f"trees.rank{trainer.global_rank}.jsonl"

    def play_started(self, module: PlayedModule, seen: int) -> None:
        cut_to(self.folder / self._name, seen, lambda line: int(json.loads(line)["problems_seen"]))

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        lines = (
            json.dumps({"problems_seen": module.problems_seen, **tree_to_dict(tree)}, ensure_ascii=False)
            for tree in module.trees
        )
        append_lines(self.folder / self._name, lines)

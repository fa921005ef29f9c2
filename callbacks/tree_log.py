"""Keeps every rollout tree."""

from __future__ import annotations

import json
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer

from callbacks.files.batch_log import cut_to
from callbacks.watching.batch_values import BatchValues
from callbacks.watching.play_callback import PlayCallback
from callbacks.watching.watched_modules import PlayedModule
from flowdpo_pl.results.atomic_writes import append_lines
from flowdpo_pl.results.fork_rows import write_forks
from flowdpo_pl.results.tree_io import tree_to_dict


class TreeLog(PlayCallback):
    """Writes each batch's rollout trees to `trees.jsonl` in the run folder, one tree a line.

    The form of a line is documented in `flowdpo_pl.results.tree_io`, whose `read_trees` reads the file back;
    `problems_seen` is added, the stream's position after the batch. On resume, later lines are removed.
    In a run of several ranks each writes its own share, `trees.rank1.jsonl` and so on.

    Args:
        parquet: At the end, also when the run is stopped, write the forks of all ranks as one table,
            `trees.parquet` (docs/runs.md has its columns).
    """

    files = ("trees.jsonl", "trees.parquet")
    on_every_rank = True

    def __init__(self, parquet: bool = False) -> None:
        self._parquet = parquet

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self._trainer = trainer

    def play_started(self, module: PlayedModule, seen: int) -> None:
        for file in [self._file(self._trainer.global_rank), *self._of_absent_ranks()]:
            cut_to(file, seen, lambda line: int(json.loads(line)["problems_seen"]))
        if self._trainer.is_global_zero:
            self._table.unlink(missing_ok=True)  # it is of an earlier end

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        lines = (
            json.dumps({"problems_seen": module.problems_seen, **tree_to_dict(tree)}, ensure_ascii=False)
            for tree in module.trees
        )
        append_lines(self._file(self._trainer.global_rank), lines)

    def play_ended(self, module: PlayedModule, stopped_by: BaseException | None) -> None:
        if not self._parquet or (stopped_by is not None and self._trainer.world_size > 1):
            return  # of ranks that are stopped nobody knows what the others have written
        self._trainer.strategy.barrier("all trees are written")
        if self._trainer.is_global_zero:
            write_forks(self._all_files(), self._table, module.score_margin)

    @property
    def _table(self) -> Path:
        return self.folder / "trees.parquet"

    def _file(self, rank: int) -> Path:
        return self.folder / (f"trees.rank{rank}.jsonl" if rank else "trees.jsonl")

    def _all_files(self) -> list[Path]:
        """Of all ranks that the run has or, before a resume, had."""
        others = {
            int(file.suffixes[0].removeprefix(".rank")): file
            for file in self.folder.glob("trees.rank*.jsonl")
        }
        return [file for file in (self._file(0), *(others[rank] for rank in sorted(others))) if file.exists()]

    def _of_absent_ranks(self) -> list[Path]:
        """For rank 0 to look after: a resumed run may have fewer ranks than before."""
        if not self._trainer.is_global_zero:
            return []
        there = {self._file(rank) for rank in range(self._trainer.world_size)}
        return [file for file in self._all_files() if file not in there]

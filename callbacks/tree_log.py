"""Keeps every rollout tree."""

from __future__ import annotations

import json
from pathlib import Path

from callbacks.files.batch_log import cut_to
from callbacks.watching.batch_values import BatchValues
from callbacks.watching.play_callback import PlayCallback
from callbacks.watching.watched_modules import PlayedModule
from flowdpo_pl.results.atomic_writes import append_lines, remove
from flowdpo_pl.results.fork_rows import write_forks
from flowdpo_pl.results.json_text import json_text
from flowdpo_pl.results.tree_io import tree_to_dict


class TreeLog(PlayCallback):
    """Writes each batch's rollout trees to `trees.jsonl` in the run folder, one tree a line.

    The form of a line is documented in `flowdpo_pl.results.tree_io`, whose `read_trees` reads the file back;
    `problems_seen` is added, the stream's position after the batch. On resume, later lines are removed.

    Args:
        parquet: At the end, also when the run is stopped, write the forks as a table, `trees.parquet`
            (docs/runs.md has its columns).
    """

    files = ("trees.jsonl", "trees.parquet")

    def __init__(self, parquet: bool = False) -> None:
        self._parquet = parquet

    def play_started(self, module: PlayedModule, seen: int) -> None:
        cut_to(self._file, seen, lambda line: int(json.loads(line)["problems_seen"]))
        remove(self._table)  # it is of an earlier end

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        lines = (
            json_text({"problems_seen": module.problems_seen, **tree_to_dict(tree)}) for tree in module.trees
        )
        append_lines(self._file, lines)

    def play_ended(self, module: PlayedModule, stopped_by: BaseException | None) -> None:
        if self._parquet and self._file.exists():
            write_forks(self._file, self._table, module.score_margin)

    @property
    def _file(self) -> Path:
        return self.folder / "trees.jsonl"

    @property
    def _table(self) -> Path:
        return self.folder / "trees.parquet"

import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from callbacks import AdapterCheckpoint, TreeLog
from flowdpo_pl.results.tree_io import read_trees
from tests.callbacks.playing import Playing, Stopped, fit, stop_at, validate
from tests.example_trees import random_tree

TREES = [random_tree(problem) for problem in range(16)]


@pytest.mark.parametrize("run", [fit, validate])
def test_all_trees_are_read_back_equal_and_in_order(tmp_path: Path, run: type) -> None:
    run(tmp_path, TreeLog())
    assert list(read_trees(tmp_path / "trees.jsonl")) == TREES


def test_each_line_says_where_in_the_stream_it_was_written(tmp_path: Path) -> None:
    fit(tmp_path, TreeLog())
    lines = (tmp_path / "trees.jsonl").read_text().splitlines()
    assert [json.loads(line)["problems_seen"] for line in lines] == [4] * 4 + [8] * 4 + [12] * 4 + [16] * 4


def test_on_resume_trees_beyond_the_checkpoint_are_removed(tmp_path: Path) -> None:
    file = tmp_path / "trees.jsonl"
    checkpoint = AdapterCheckpoint(every_n_problems=8)
    with pytest.raises(Stopped):
        fit(
            tmp_path,
            TreeLog(),
            checkpoint,
            module=Playing(before_batch=stop_at(12)),
            enable_checkpointing=True,
        )
    assert list(read_trees(file)) == TREES[:12]
    file.write_text(file.read_text()[:-10])  # killed while writing
    fit(tmp_path, TreeLog(), ckpt_path=tmp_path / "checkpoints" / "last.ckpt")
    assert list(read_trees(file)) == TREES


def test_a_fresh_run_in_the_same_folder_begins_a_new_log(tmp_path: Path) -> None:
    fit(tmp_path, TreeLog())
    fit(tmp_path, TreeLog(), module=Playing(max_problems=8))
    assert list(read_trees(tmp_path / "trees.jsonl")) == TREES[:8]


def table(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(folder / "trees.parquet").to_pylist()
    return rows


def test_the_table_holds_each_fork_once_over_a_stop_and_a_resume(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    fit(whole, TreeLog(parquet=True))
    forks = sum(len(tree.forks) + len(tree.nodes_without_alternative) for tree in TREES)
    assert len(table(whole)) == forks
    checkpoint = AdapterCheckpoint(every_n_problems=8)
    interrupted = Playing(before_batch=stop_at(12))
    with pytest.raises(Stopped):
        fit(stopped, TreeLog(parquet=True), checkpoint, module=interrupted, enable_checkpointing=True)
    assert table(stopped) == [row for row in table(whole) if row["problems_seen"] <= 12], "when stopped, too"
    fit(stopped, TreeLog(parquet=True), ckpt_path=stopped / "checkpoints" / "last.ckpt")
    assert table(stopped) == table(whole)


def test_a_run_under_way_or_killed_has_no_table_of_an_earlier_end(tmp_path: Path) -> None:
    fit(tmp_path, TreeLog(parquet=True))
    seen = []
    module = Playing(before_batch=lambda _: seen.append((tmp_path / "trees.parquet").exists()))
    fit(tmp_path, TreeLog(parquet=True), module=module)
    assert seen and not any(seen)

"""The table of forks: what the trees hold, in the stream's order.

Also tests `results.parquet_rows`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.measure.tree_statistics import tree_statistics
from flowdpo_pl.results.fork_rows import fork_rows, write_forks
from flowdpo_pl.results.tree_io import tree_to_dict
from flowdpo_pl.types import RolloutTree
from tests.example_trees import group_tree, random_tree

TREES = [random_tree(seed) for seed in range(41)]
BATCH = 7


def log(path: Path, placed: list[tuple[int, RolloutTree]]) -> Path:
    lines = (json.dumps({"problems_seen": seen, **tree_to_dict(tree)}) for seen, tree in placed)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def batches() -> list[list[tuple[int, RolloutTree]]]:
    parts = [TREES[at : at + BATCH] for at in range(0, len(TREES), BATCH)]
    return [[(min((n + 1) * BATCH, len(TREES)), tree) for tree in part] for n, part in enumerate(parts)]


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return found


def test_the_table_has_the_forks_in_the_order_of_the_stream(tmp_path: Path) -> None:
    file = log(tmp_path / "trees.jsonl", [placed for batch in batches() for placed in batch])
    write_forks(file, tmp_path / "trees.parquet")
    expected = [row for batch in batches() for seen, tree in batch for row in fork_rows(tree, seen)]
    assert [row["problem_id"] for row in rows(tmp_path / "trees.parquet")] == [
        r["problem_id"] for r in expected
    ]
    for found, made in zip(rows(tmp_path / "trees.parquet"), expected, strict=True):
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in made.items()}
        assert {name: value for name, value in found.items() if value is not None} == {
            name: value for name, value in plain.items() if value is not None
        }


@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_kinds_are_the_counts_of_the_log_and_better_moves_those_of_the_pairs(margin: float) -> None:
    made = [row for tree in TREES for row in fork_rows(tree, 0, margin)]
    counted = tree_statistics(TREES, ["answer", "stop"], margin)
    for agent in ("answer", "stop"):
        own = [row["kind"] for row in made if row["agent"] == agent]
        assert own.count("pair") == counted[f"{agent}/pairs"]
        for kind in ("both_right", "both_wrong", "repeated", "no_alternative"):
            assert own.count(kind) == counted[f"{agent}/ties/{kind}"]
    chosen = [row[f"{row['better']}_ids"] for row in made if row["kind"] == "pair"]
    assert chosen == [pair.chosen.token_ids for pair in mine(TREES, margin).pairs]


def test_a_group_has_a_row_a_draw_repeats_too() -> None:
    rows = [list(fork_rows(group_tree(seed), 0)) for seed in range(4)]
    assert [[row["kind"] for row in made if row["agent"] == "answer"] for made in rows] == [
        ["repeated", "pair", "both_right"],
        ["repeated", "both_wrong", "both_wrong"],
        ["repeated", "pair", "pair"],
        ["repeated", "both_wrong", "pair"],
    ]
    assert [made[0]["better"] for made in rows] == [None] * 4


def test_datasets_and_pandas_read_it(tmp_path: Path) -> None:
    datasets, pandas = pytest.importorskip("datasets"), pytest.importorskip("pandas")
    placed = [(len(TREES), tree) for tree in TREES]
    path = tmp_path / "trees.parquet"
    write_forks(log(tmp_path / "trees.jsonl", placed), path)
    loaded = datasets.load_dataset("parquet", data_files=str(path), cache_dir=str(tmp_path / "cache"))[
        "train"
    ]
    assert loaded.to_list() == rows(path)
    frame = pandas.read_parquet(path)
    assert len(frame) == len(rows(path)) and list(frame.columns) == list(rows(path)[0])


def test_an_empty_run_is_an_empty_table(tmp_path: Path) -> None:
    write_forks(log(tmp_path / "trees.jsonl", []), tmp_path / "trees.parquet")
    assert rows(tmp_path / "trees.parquet") == []

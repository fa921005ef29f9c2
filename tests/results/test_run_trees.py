from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.run_trees import RunTrees
from flowdpo_pl.results.tree_io import tree_to_dict
from flowdpo_pl.types import RolloutTree
from tests.example_trees import random_tree
from tests.tree_files import write_trees

TREES = [random_tree(seed) for seed in range(30)]
EVERY = range(1, 1000)


def run_of(folder: Path) -> RunTrees:
    trees = RunTrees.at(folder)
    assert trees is not None
    return trees


def test_trees_are_read_in_the_order_of_the_stream_by_number(tmp_path: Path) -> None:
    write_trees(tmp_path, TREES, batch=12)
    trees = run_of(tmp_path)
    assert trees.count == 30
    read = list(trees.read(EVERY))
    assert [one.tree for one in read] == TREES
    assert [(one.number, one.seen) for one in read] == [(n, min(30, -(-n // 12) * 12)) for n in range(1, 31)]
    assert [one.tree for one in trees.read({5, 29})] == [TREES[4], TREES[28]]


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    write_trees(tmp_path, TREES)
    file = tmp_path / "trees.jsonl"
    file.write_text(file.read_text()[:-10])
    assert run_of(tmp_path).count == 29
    assert [one.tree for one in run_of(tmp_path).read(EVERY)] == TREES[:29]
    file.write_text("")
    assert run_of(tmp_path).count == 0 and not list(run_of(tmp_path).read(EVERY))


def test_lines_in_another_order_of_keys_or_without_a_position_are_read(tmp_path: Path) -> None:
    lines = [tree_to_dict(TREES[0]), {**tree_to_dict(TREES[1]), "problems_seen": 2}]
    (tmp_path / "trees.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [(one.seen, one.tree) for one in run_of(tmp_path).read(EVERY)] == [(0, TREES[0]), (2, TREES[1])]


@pytest.mark.parametrize(
    "line", ["{}", "[]", "no json", '{"problem": 3}', '{"problems_seen": 4, "main": []}', "[" * 100_000]
)
def test_a_line_that_is_no_tree_is_named(line: str, tmp_path: Path) -> None:
    write_trees(tmp_path, TREES)
    with (tmp_path / "trees.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=r"trees\.jsonl, line 31: not a rollout tree"):
        list(run_of(tmp_path).read(EVERY))


def test_a_copy_of_one_s_own_is_not_the_run_s(tmp_path: Path) -> None:
    write_trees(tmp_path, TREES[:4])
    (tmp_path / "trees_copy.jsonl").write_text("x\n")
    assert run_of(tmp_path).count == 4
    assert run_of(tmp_path / "trees.jsonl").count == 4
    assert RunTrees.at(tmp_path / "trees_copy.jsonl") is None
    assert RunTrees.at(tmp_path / "absent") is None


def test_the_margin_is_the_run_s(tmp_path: Path) -> None:
    write_trees(tmp_path, TREES[:1])
    assert run_of(tmp_path).margin == 0.0
    (tmp_path / "config.yaml").write_text("model: {init_args: {score_margin: 0.3}}")
    assert run_of(tmp_path).margin == run_of(tmp_path / "trees.jsonl").margin == 0.3
    (tmp_path / "config.yaml").write_text("model: [")
    with pytest.raises(UserError, match="can't be read as the config of a run"):
        RunTrees.at(tmp_path)


def test_a_problem_that_comes_again_has_a_number_each_time(tmp_path: Path) -> None:
    again: list[RolloutTree] = [*TREES[:4], replace(TREES[9], problem=TREES[0].problem)]
    write_trees(tmp_path, again, batch=4)
    assert [one.number for one in run_of(tmp_path).read(EVERY) if one.tree.problem.id == "p0"] == [1, 5]


@pytest.mark.parametrize("seen", [None, "x", 1.5, True, float("inf"), [4], "9" * 5000])
def test_a_position_that_is_none_is_said_to_be_the_start(seen: object, tmp_path: Path) -> None:
    line = json.dumps({"problems_seen": 7, **tree_to_dict(TREES[0])})
    (tmp_path / "trees.jsonl").write_text(line.replace("7", json.dumps(seen), 1) + "\n")
    assert [one.seen for one in run_of(tmp_path).read()] == [0]

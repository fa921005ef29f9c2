import dataclasses
import json
import math
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.tree_io import read_trees, tree_from_dict, tree_to_dict
from flowdpo_pl.types import Move, RolloutTree, Trajectory, Verdict
from tests.example_trees import random_tree, written


@pytest.mark.parametrize("seed", range(20))
def test_a_tree_comes_back_equal_through_json(seed: int) -> None:
    tree = random_tree(seed)
    assert tree_from_dict(json.loads(json.dumps(tree_to_dict(tree)))) == tree


def test_an_unknown_logprob_and_an_unjudged_answer_come_back() -> None:
    moves = (Move("answer", (1, 2), "é\n"), written("x", logprob=-1e-17))
    main = Trajectory(moves, "é\nx", Verdict(False, None, "timeout"))
    tree = RolloutTree(random_tree(0).problem, main)
    text = json.dumps(tree_to_dict(tree), allow_nan=False)
    back = tree_from_dict(json.loads(text))
    assert back == tree
    assert math.isnan(back.main.moves[0].logprob) and back.main.moves[1].logprob == -1e-17


def test_a_fork_of_another_chain_is_refused_when_written() -> None:
    tree = next(tree for tree in map(random_tree, range(50)) if tree.forks)
    stray = dataclasses.replace(tree.forks[0], taken_verdict=Verdict(not tree.main.correct))
    with pytest.raises(ValueError, match="doesn't belong to its main chain"):
        tree_to_dict(dataclasses.replace(tree, forks=(stray,)))


def lines_of(trees: list[RolloutTree]) -> list[str]:
    return [json.dumps({"problems_seen": 3, **tree_to_dict(tree)}) + "\n" for tree in trees]


def test_a_file_is_read_in_order_and_other_keys_are_ignored(tmp_path: Path) -> None:
    trees = [random_tree(seed) for seed in range(5)]
    (tmp_path / "trees.jsonl").write_text("".join(lines_of(trees)))
    assert list(read_trees(tmp_path / "trees.jsonl")) == trees


def test_a_line_cut_off_at_the_end_is_left_out(tmp_path: Path) -> None:
    trees = [random_tree(seed) for seed in range(3)]
    (tmp_path / "trees.jsonl").write_text("".join(lines_of(trees))[:-40])
    assert list(read_trees(tmp_path / "trees.jsonl")) == trees[:2]


@pytest.mark.parametrize(
    "bad", ["{not json\n", "{}\n", "[1]\n", '{"main": {"moves": 3}}\n', "[" * 10**5 + "\n"]
)
def test_a_bad_line_is_named(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "trees.jsonl"
    file.write_text(lines_of([random_tree(1)])[0] + bad)
    with pytest.raises(UserError, match=r"trees\.jsonl, line 2: not a rollout tree"):
        list(read_trees(file))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.jsonl: no such file"):
        list(read_trees(tmp_path / "absent.jsonl"))


def test_labels_come_back_and_older_files_have_none() -> None:
    tree = random_tree(1)
    labelled = dataclasses.replace(tree, problem=dataclasses.replace(tree.problem, labels=(("level", "2"),)))
    data = json.loads(json.dumps(tree_to_dict(labelled)))
    assert tree_from_dict(data) == labelled
    del data["problem"]["labels"]
    assert tree_from_dict(data) == tree


def test_scores_and_kept_columns_come_back() -> None:
    tree = next(tree for tree in map(random_tree, range(50)) if tree.forks)
    problem = dataclasses.replace(tree.problem, kept=(("tests", [1, {"a": None}]), ("unit", "km")))
    verdict = dataclasses.replace(tree.main.verdict, correct=False, score=0.375)
    main = dataclasses.replace(tree.main, verdict=verdict)
    forks = tuple(dataclasses.replace(fork, taken_verdict=verdict) for fork in tree.forks)
    graded = dataclasses.replace(tree, problem=problem, main=main, forks=forks)
    back = tree_from_dict(json.loads(json.dumps(tree_to_dict(graded))))
    assert back == graded and back.main.score == 0.375 and back.problem["tests"] == [1, {"a": None}]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("problem", "question", None), "question of the problem is null, not a text"),
        (("problem", "labels", {"level": 2}), "the problem's labels hold 2, not a text"),
        (("main", "answer", 5), "answer of the main chain is 5, not a text"),
        (("main", "verdict", {"correct": 1}), "correct of a verdict is 1, not true or false"),
        (("main", "verdict", {"correct": False, "score": True}), "score of a verdict is true, not a number"),
        (("main", "moves", [{"agent": "a", "token_ids": [1]}]), "a move has no text"),
        (
            ("main", "moves", [{"agent": "a", "token_ids": [-1], "text": ""}]),
            "token_ids of a move are no list of",
        ),
        (("forks", 0, {}), "a fork has no node"),
        (("nodes_without_alternative", 0, 99), r"node 99 is none of the main chain's \d moves"),
    ],
)
def test_a_value_of_another_type_is_named(
    tmp_path: Path, changed: tuple[str, str | int, object], told: str
) -> None:
    data = tree_to_dict(
        next(t for t in map(random_tree, range(50)) if t.forks and t.nodes_without_alternative)
    )
    outer, inner, value = changed
    data[outer][inner] = value
    (tmp_path / "trees.jsonl").write_text(json.dumps(data) + "\n")
    with pytest.raises(UserError, match=rf"line 1: not a rollout tree \({told}"):
        list(read_trees(tmp_path / "trees.jsonl"))

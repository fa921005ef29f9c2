"""Also tests `view.problems`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.measure.tree_statistics import tree_statistics
from flowdpo_pl.results.run_trees import RunTrees
from flowdpo_pl.types import RolloutTree, Verdict
from flowdpo_pl.view.problems import ending
from flowdpo_pl.view.tree_problems import TreeProblems
from tests.example_trees import NO, YES, choice, fork, group_tree, path, random_tree, written
from tests.tree_files import write_trees


def shown(
    folder: Path, trees: list[RolloutTree], margin: float = 0.0
) -> tuple[list[dict[str, Any]], list[str]]:
    """What a page has of each tree, and the agents."""
    write_trees(folder, trees)
    problems = TreeProblems(RunTrees(folder / "trees.jsonl", margin))
    data = [one.data for one in problems.read(range(1, len(trees) + 1))]
    return json.loads(json.dumps(data)), problems.told()["agents"]


def scored(score: float, *others: float) -> RolloutTree:
    """A graded main chain, and another ending of each of these scores at its first node."""
    main = path([written("main")], score >= 0.5, score)
    forks = [fork(main, 0, written(f"o{n}"), [], one >= 0.5, one) for n, one in enumerate(others)]
    return RolloutTree(random_tree(0).problem, main, tuple(forks))


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_the_pairs_and_ties_are_those_that_training_takes(margin: float, tmp_path: Path) -> None:
    trees = [random_tree(seed) for seed in range(40)] + [group_tree(seed) for seed in range(6)]
    trees += [scored(0.6, 0.5, 0.2, 1.0, 0.6), scored(0.1, 0.3)]
    data, agents = shown(tmp_path, trees, margin)
    told = [
        (tree["id"], node, agents[move[0]], outcome, move[1])
        for tree in data
        for node, outcome, move, *_ in tree["forks"]
        if outcome in ("chosen", "rejected")
    ]
    known = []
    for pair in mine(trees, margin).pairs:
        tree = next(one for one in trees if one.problem is pair.problem)
        taken = tree.main.moves[pair.node]
        if not any(move is taken for move in pair.moves):  # a repeat is equal, and another draw
            continue  # of two alternatives, each of which is shown beside the main chain
        outcome, other = ("rejected", pair.rejected) if pair.chosen is taken else ("chosen", pair.chosen)
        known.append((pair.problem.id, pair.node, pair.agent, outcome, other.text))
    assert told == known and {one[3] for one in known} == {"chosen", "rejected"}

    counts = tree_statistics(trees, agents, margin)
    for kind in ("both_right", "both_wrong", "repeated"):
        here = sum(fork[1] == kind for tree in data for fork in tree["forks"])
        assert 0 < here == sum(counts[f"{agent}/ties/{kind}"] for agent in agents)
    assert sum(len(tree["without"]) for tree in data) == sum(
        counts[f"{agent}/ties/no_alternative"] for agent in agents
    )


def test_a_tree_has_all_that_was_said(tmp_path: Path) -> None:
    main = path([written("1 + "), choice(NO), written("2"), choice(YES)], False)
    other = fork(main, 1, choice(YES), [], True)
    rest = fork(main, 2, written("3", logprob=float("nan")), [choice(NO), written("4")], False)
    tree = RolloutTree(random_tree(0).problem, main, (other, rest), (0,))
    (data,), agents = shown(tmp_path, [tree])
    assert agents == ["answer", "stop"]
    assert data["moves"] == [[0, "1 + ", 0, -1.0], [1, "No", 1, -0.5], [0, "2", 0, -1.0], [1, "Yes", 1, -0.5]]
    assert data["depths"] == [1, 1, 2, 2] and data["without"] == [0] and data["seen"] == 1
    assert data["end"] == [0, 0.0, "2", None]
    assert data["forks"] == [
        [1, "chosen", [1, "Yes", 1, -0.5], [], [1, 1.0, " ", None]],
        [2, "both_wrong", [0, "3", 0, None], [[1, "No", 1, -0.5], [0, "4", 0, -1.0]], [0, 0.0, "4", None]],
    ]


def test_what_can_t_be_seen_is_an_escape(tmp_path: Path) -> None:
    tree = random_tree(0)
    problem = replace(tree.problem, question="a\x1b\nb", id="i\n", gold="\u202e", labels=(("l\x00", "v"),))
    (data,), _ = shown(tmp_path, [replace(tree, problem=problem)])
    assert (data["question"], data["id"], data["gold"]) == ("a\\x1b\nb", "i\\n", "\\u202e")
    assert data["labels"] == ["l\\x00: v"]
    assert ending(Verdict(False, "\x1b", "time\nout")) == [0, 0.0, "\\x1b", "time\\nout"]

import pytest

from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.measure.tree_statistics import tree_statistics
from flowdpo_pl.play.flows.answer_stop import AnswerStopFlow
from flowdpo_pl.types import Problem, RolloutTree, Tie
from tests.example_trees import NO, YES, choice, fork, group_tree, main_only, path, random_tree, written

AGENTS = AnswerStopFlow.agents
PROBLEM = Problem("p", "2 + 2?", "4")


def test_forks_are_counted_by_agent_outcome_and_depth() -> None:
    right = path([written("a"), choice(NO), written("b"), choice(YES)], correct=True)
    first = RolloutTree(
        PROBLEM,
        right,
        forks=(
            fork(right, 0, written("x"), [choice(YES)], correct=False),  # flips at depth 1
            fork(right, 1, choice(YES), [], correct=True),  # tie at depth 1
            fork(right, 2, written("y"), [choice(YES)], correct=True),  # tie at depth 2
            fork(right, 3, choice(NO), [written("z")], correct=False),  # flips at depth 2
        ),
    )
    wrong = path([written("a"), choice(YES)], correct=False)
    second = RolloutTree(
        PROBLEM, wrong, (fork(wrong, 1, choice(NO), [written("z")], False),), nodes_without_alternative=(0,)
    )
    assert tree_statistics([first, second], AGENTS) == pytest.approx(
        {
            "answer/pairs": 1,
            "answer/ties/both_right": 1,
            "answer/ties/both_wrong": 0,
            "answer/ties/repeated": 0,
            "answer/ties/no_alternative": 1,
            "stop/pairs": 1,
            "stop/ties/both_right": 1,
            "stop/ties/both_wrong": 1,
            "stop/ties/repeated": 0,
            "stop/ties/no_alternative": 0,
            "answer/flips": 1 / 2,
            "stop/flips": 1 / 3,
            "flips/depth_1": 1 / 3,
            "flips/depth_2": 1 / 2,
            "chunks_per_answer": 1.5,
            "same_text_alternatives": 0,
        }
    )


def test_every_node_that_was_tried_is_counted_once() -> None:
    trees = [random_tree(seed) for seed in range(30)]
    values = tree_statistics(trees, AGENTS)
    tried = sum(len(tree.forks) + len(tree.nodes_without_alternative) for tree in trees)
    assert sum(number for key, number in values.items() if "/ties/" in key or key.endswith("/pairs")) == tried


def test_every_fork_of_a_group_is_a_pair_or_a_tie_with_the_main_chain() -> None:
    for tree in map(group_tree, range(12)):
        values, outcomes = tree_statistics([tree], AGENTS), [fork.tie() for fork in tree.forks]
        assert values["answer/ties/repeated"] == 1 == outcomes.count(Tie.REPEATED)
        for kind in (Tie.BOTH_RIGHT, Tie.BOTH_WRONG):
            assert sum(values[f"{agent}/ties/{kind}"] for agent in AGENTS) == outcomes.count(kind)


def test_same_text_from_other_tokens_is_counted() -> None:
    main = path([written("12", 1, 2), choice(YES)], correct=True)
    same = fork(main, 0, written("12", 12), [choice(YES)], correct=True)
    assert tree_statistics([RolloutTree(PROBLEM, main, (same,))], AGENTS)["same_text_alternatives"] == 1


def test_without_trees_and_without_forks_nothing_divides_by_zero() -> None:
    assert set(tree_statistics([], AGENTS).values()) == {0.0}
    values = tree_statistics([main_only(True, written("4"))], AGENTS)
    assert values["chunks_per_answer"] == 1 and "flips/depth_1" not in values


def test_the_margin_parts_pairs_from_ties_as_mining_does() -> None:
    main = path([written("a")], correct=False, score=0.5)
    forks = tuple(fork(main, 0, written("b"), [], False, score) for score in (0.0, 0.375, 0.875))
    for margin, pairs in ((0.0, 3), (0.125, 2), (0.375, 1), (0.5, 0)):
        trees = [RolloutTree(PROBLEM, main, forks)]
        values = tree_statistics(trees, AGENTS, margin)
        assert values["answer/pairs"] == len(mine(trees, margin).pairs) == pairs
        assert (
            values["answer/pairs"] + values["answer/ties/both_right"] + values["answer/ties/both_wrong"] == 3
        )
        assert values["answer/flips"] == pairs / 3

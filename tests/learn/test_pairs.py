"""Forks whose endings differ become pairs, the better move first; the others teach nothing."""

from __future__ import annotations

from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from flowdpo_pl.types import Problem, RolloutTree
from tests.example_trees import NO, YES, choice, fork, path, random_tree, written

PROBLEM = Problem("p", "2 + 2?", "4")


def test_the_better_move_is_chosen_wherever_it_was_played() -> None:
    right = path([written("a"), choice(NO), written("b"), choice(YES)], correct=True)
    early, other = choice(YES), written("y")
    forks = (
        fork(right, 1, early, [], correct=False),
        fork(right, 2, other, [choice(YES)], correct=True),  # a tie
    )
    (pair,) = mine([RolloutTree(PROBLEM, right, forks)]).pairs
    assert (pair.problem, pair.node, pair.agent) == (PROBLEM, 1, STOP)
    assert (pair.prefix, pair.chosen, pair.rejected) == (right.moves[:1], right.moves[1], early)

    wrong = path(right.moves, correct=False)
    better = fork(wrong, 2, other, [choice(YES)], correct=True)
    (pair,) = mine([RolloutTree(PROBLEM, wrong, (better,))]).pairs
    assert (pair.agent, pair.chosen, pair.rejected) == (ANSWER, other, right.moves[2])


def test_there_is_a_pair_for_every_flip_in_the_order_of_the_stream() -> None:
    trees = [random_tree(seed) for seed in range(30)]
    mined = mine(trees)
    flips = [
        (tree.problem.id, one.node)
        for tree in trees
        for one in tree.forks
        if one.taken_correct != one.branch.correct
    ]
    assert [(pair.problem.id, pair.node) for pair in mined.pairs] == flips and len(flips) > 10
    assert all({pair.agent for pair in mined.of(agent)} == {agent} for agent in (ANSWER, STOP))
    assert len(mined.of(ANSWER)) + len(mined.of(STOP)) == len(flips)


def test_of_graded_endings_the_higher_score_is_chosen_and_close_ones_are_ties() -> None:
    main = path([written("a"), choice(YES)], correct=False, score=0.5)
    better, worse, close = written("b"), written("c"), written("d")
    forks = (
        fork(main, 0, better, [choice(YES)], correct=True),
        fork(main, 0, worse, [choice(YES)], correct=False, score=0.25),
        fork(main, 0, close, [choice(YES)], correct=False, score=0.625),
    )
    tree = RolloutTree(PROBLEM, main, forks)
    pairs = [(pair.chosen, pair.rejected) for pair in mine([tree]).pairs]
    taken = main.moves[0]
    of_worse = [(taken, worse), (better, worse)]
    of_close = [(close, taken), (better, close), (close, worse)]
    assert pairs == [(better, taken), *of_worse, *of_close]
    apart = [(pair.chosen, pair.rejected) for pair in mine([tree], margin=0.125).pairs]
    assert apart == [(better, taken), *of_worse, *of_close[1:]]
    assert [(pair.chosen, pair.rejected) for pair in mine([tree], margin=0.5).pairs] == [(better, worse)]

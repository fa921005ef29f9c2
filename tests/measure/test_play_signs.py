"""Counts of what trees show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from flowdpo_pl.measure.play_signs import SIGNS, play_signs
from flowdpo_pl.types import Fork, Move, Problem, RolloutTree, Trajectory, Verdict
from tests.example_trees import NO, YES, choice, fork, main_only, path, random_tree, written

END = 7


def finishes(before: Sequence[Move], move: Move) -> bool | None:
    return None if move.option is None else move.option == YES


def ended(move: Move) -> bool:
    return move.token_ids[-1] == END


def signs(*trees: RolloutTree) -> dict[str, float]:
    found = play_signs(trees, finishes, ended)
    assert found.keys() == {f"signs/{name}" for name in SIGNS}
    return {name.removeprefix("signs/"): value for name, value in found.items() if value}


def judged(text: str, gold: str, verdict: Verdict) -> RolloutTree:
    return RolloutTree(Problem("p", "q", gold), Trajectory((written(text, 1, END),), text, verdict))


def test_they_add_up_over_trees() -> None:
    trees = [random_tree(seed) for seed in range(12)]
    both, one, two = signs(*trees), signs(*trees[:5]), signs(*trees[5:])
    assert both == pytest.approx({name: one.get(name, 0) + two.get(name, 0) for name in both})
    assert both["endings"] == 12 + sum(len(tree.forks) for tree in trees)
    assert signs() == {}


def test_the_likelihood_is_that_of_what_is_written() -> None:
    found = signs(
        main_only(True, written("ab", logprob=-1.5), choice(NO), written("c", 5, END, logprob=-0.5))
    )
    assert (found["written_tokens"], found["written_nats"]) == (4, 2.0)


@pytest.mark.parametrize(
    ("moves", "cut"),
    [
        ((written("a", 1, 2),), True),
        ((written("a", 1, END),), False),
        ((written("a", 1, 2), choice(YES)), False),
        ((written("a", 1, 2), choice(NO), written("b", 3, 4)), True),
    ],
)
def test_a_chain_is_cut_where_nobody_has_ended_it(moves: tuple[Move, ...], cut: bool) -> None:
    assert ("cut" in signs(main_only(False, *moves))) == cut


def test_a_chain_is_closed_early_in_the_middle_of_a_move_without_a_mark() -> None:
    def early(*moves: Move) -> bool:
        return "closed_early" in signs(main_only(False, *moves))

    assert early(written("so 1", 1, 2), choice(YES))
    assert not early(written("so 1", 1, END), choice(YES))
    assert not early(written("The answer is 4.", 1, 2), choice(YES))
    assert not early(written("so 1", 1, 2))


def test_what_the_verifier_did_not_read() -> None:
    nothing = Verdict(False)
    assert signs(judged("so 12", "12", nothing)).keys() >= {"nothing_read", "right_unread"}
    assert "right_unread" not in signs(judged("so 13", "12", nothing))
    boxless = signs(judged("The answer is 12.", "12", nothing))
    assert boxless["marked"] == boxless["right_unread"] == 1
    failed = signs(judged("12", "12", Verdict(False, error="timeout")))
    assert "nothing_read" not in failed, "that is a failure, and counted as one"


def test_answers_of_another_kind_than_the_gold() -> None:
    assert "other_kind" in signs(judged("The answer is 12.", "XII", Verdict(False, "12")))
    assert "other_kind" not in signs(judged("The answer is 12.", "13", Verdict(False, "12")))
    assert "other_kind" not in signs(judged("The answer is yes.", "no", Verdict(False, "yes")))
    assert "other_kind" not in signs(judged("The answer is 12.", "XII", Verdict(True, "12")))


def test_which_choice_was_better() -> None:
    main = path([written("a"), choice(YES)], correct=False)
    going_on = fork(main, 1, choice(NO), [written("b")], correct=True)
    tree = RolloutTree(Problem("p", "q", "4"), main, (going_on,))
    assert signs(tree)["better_going_on"] == 1
    right = path([written("a"), choice(YES)], correct=True)
    worse = fork(right, 1, choice(NO), [written("b")], correct=False)
    assert signs(RolloutTree(Problem("p", "q", "4"), right, (worse,)))["better_finished"] == 1


def test_alternatives_that_read_the_same() -> None:
    main = path([written("a", 1)], correct=True)
    same: Fork = fork(main, 0, written("a", 2), [], correct=True)
    other = replace(same, other=written("b", 3))
    found = signs(RolloutTree(Problem("p", "q", "4"), main, (same, other)))
    assert (found["written_forks"], found["same_text"]) == (2, 1)


def test_scores_add_up_and_the_margin_parts_pairs_of_choices() -> None:
    main = path([written("a"), choice(NO), written("b")], False, score=0.25)
    tree = RolloutTree(Problem("p", "q", "g"), main, (fork(main, 1, choice(YES), [], False, score=0.75),))
    assert (signs(tree)["right"], signs(tree)["endings_right"], signs(tree)["better_finished"]) == (
        0.25,
        1.0,
        1,
    )
    assert not play_signs([tree], finishes, ended, margin=0.5)["signs/better_finished"]


def test_the_verifier_says_what_a_mark_is() -> None:
    tree = main_only(False, written("say #4"))
    found = play_signs([tree], finishes, ended, lambda text: text.partition("#")[2] or None)
    assert found["signs/marked"] == 1 and not play_signs([tree], finishes, ended)["signs/marked"]

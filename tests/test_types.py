"""What the plain data say of themselves."""

from __future__ import annotations

import pytest

from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from flowdpo_pl.types import Fork, Move, Problem, Tie, Trajectory, Verdict, answer_tokens

TAKEN, OTHER = Move(ANSWER, (1, 2, 3), "a b c"), Move(ANSWER, (4,), "d")
STOPPED = Move(STOP, (9,), "Yes", option=0)


def fork(taken_correct: bool, other_correct: bool) -> Fork:
    branch = Trajectory((OTHER, STOPPED), "d", Verdict(other_correct))
    return Fork(0, TAKEN, OTHER, branch, Verdict(taken_correct))


@pytest.mark.parametrize(
    ("taken_correct", "other_correct", "tie"),
    [
        (True, False, None),
        (False, True, None),
        (True, True, Tie.BOTH_RIGHT),
        (False, False, Tie.BOTH_WRONG),
    ],
)
def test_a_fork_is_a_pair_or_a_tie_of_its_kind(
    taken_correct: bool, other_correct: bool, tie: Tie | None
) -> None:
    node = fork(taken_correct, other_correct)
    assert node.tie() == tie
    assert node.is_pair() == (tie is None)
    assert node.other_correct == other_correct


def test_a_trajectory_is_right_where_its_verdict_is() -> None:
    assert not Trajectory((TAKEN,), "a b c", Verdict(False, error="timeout")).correct
    assert Trajectory((TAKEN,), "a b c", Verdict(True)).correct


def test_tokens_of_an_answer_are_those_of_written_moves() -> None:
    assert answer_tokens([TAKEN, STOPPED, OTHER]) == 4
    assert answer_tokens([STOPPED]) == answer_tokens([]) == 0


def graded(taken: float, other: float) -> Fork:
    branch = Trajectory((OTHER, STOPPED), "d", Verdict(other == 1, score=other))
    return Fork(0, TAKEN, OTHER, branch, Verdict(taken == 1, score=taken))


@pytest.mark.parametrize(
    ("taken", "other", "margin", "better", "tie"),
    [
        (0.5, 0.25, 0.0, TAKEN, None),
        (0.25, 0.5, 0.0, OTHER, None),
        (0.25, 0.5, 0.25, OTHER, Tie.BOTH_WRONG),  # more than the margin, not as much
        (0.75, 0.5, 0.5, TAKEN, Tie.BOTH_RIGHT),
        (1.0, 0.0, 0.99, TAKEN, None),
        (0.5, 0.5, 0.0, None, Tie.BOTH_RIGHT),
    ],
)
def test_graded_endings_are_a_pair_where_their_scores_differ_by_more_than_the_margin(
    taken: float, other: float, margin: float, better: Move | None, tie: Tie | None
) -> None:
    node = graded(taken, other)
    assert (node.tie(margin), node.is_pair(margin)) == (tie, tie is None)
    if better is not None:
        assert node.better is better and {node.better, node.worse} == {TAKEN, OTHER}


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("other", [True, False])
def test_scores_of_0_and_1_are_right_and_wrong(taken: bool, other: bool) -> None:
    assert graded(float(taken), float(other)) == fork(taken, other)


def test_a_verdict_that_contradicts_itself_is_refused() -> None:
    assert (Verdict(True).score, Verdict(False).score) == (1.0, 0.0)
    for score in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="give a number from 0 to 1"):
            Verdict(True, score=score)
    for correct, given in ((True, 1.0), (False, 0.5)):
        with pytest.raises(ValueError, match="has an error"):
            Verdict(correct, error="timeout", score=given)


def test_a_problem_gives_its_kept_columns_by_name() -> None:
    problem = Problem("p", "q", "g", kept=(("unit", "km"), ("tests", [1, 2])))
    assert problem["unit"] == "km" and problem["tests"] == [1, 2]
    assert hash(problem) == hash(Problem("p", "q", "g")), "values need not be hashable"
    with pytest.raises(KeyError, match="problem p has no column 'gold': name it in `keep`"):
        problem["gold"]

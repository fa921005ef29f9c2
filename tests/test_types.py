"""What the plain data say of themselves."""

from __future__ import annotations

import pytest

from flowdpo_pl.play.flow import ANSWER, STOP
from flowdpo_pl.types import Fork, Move, Tie, Trajectory, Verdict, answer_tokens

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

import pytest

from callbacks.watching.pace import Pace
from flowdpo_pl.errors import UserError


@pytest.mark.parametrize("start", [0, 3, 10, 12])
@pytest.mark.parametrize("batch", [1, 3, 10, 25])
def test_it_is_due_in_the_batch_that_reaches_a_multiple_and_in_no_other(start: int, batch: int) -> None:
    pace = Pace(10)
    pace.start(start)
    for seen in range(start + batch, 80, batch):
        reached = set(range(10, 80, 10)) & set(range(seen - batch + 1, seen + 1))
        assert pace.due(seen) == bool(reached), seen


def test_a_multiple_is_due_once() -> None:
    pace = Pace(10)
    assert [pace.due(10), pace.due(10), pace.due(19), pace.due(20)] == [True, False, False, True]


def test_a_pace_is_positive_and_named_as_its_setting() -> None:
    with pytest.raises(UserError, match="every_n_steps is 0: give at least 1"):
        Pace(0, "every_n_steps")

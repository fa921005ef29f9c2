from __future__ import annotations

import pytest
import torch

from flowdpo_pl.learn.update_steps import update_steps
from flowdpo_pl.types import Move, PreferencePair, Problem

CPU = torch.device("cpu")
MOVE = Move("answer", (1,), "one")
PAIRS = [PreferencePair(Problem(f"p{n}", "?", "1"), 0, "answer", (), MOVE, MOVE) for n in range(10)]


@pytest.mark.parametrize("most", [None, 1, 3, 4, 10, 99])
def test_every_pair_is_in_one_step_in_order_and_no_step_has_too_many(most: int | None) -> None:
    steps = update_steps(PAIRS, most, CPU)
    assert [pair for step in steps for pair in step] == PAIRS
    assert all(step and len(step) <= (most or 10) for step in steps)
    assert len(steps) == -(-10 // (most or 10))


def test_without_pairs_there_is_one_empty_step() -> None:
    assert update_steps([], 3, CPU) == update_steps([], None, CPU) == [[]]

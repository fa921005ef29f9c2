"""Steps are cut in the stream's order, in the same places however many ranks share a batch."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from flowdpo_pl.data.cursor import share
from flowdpo_pl.distributed import interleaved
from flowdpo_pl.learn.update_steps import update_steps
from flowdpo_pl.types import Move, PreferencePair, Problem

MOVE = Move("answer", (1,), "one")
PROBLEMS = [Problem(f"p{n}", "?", "1") for n in range(7)]
HELD = (3, 0, 2, 1, 0, 4, 0)
"""Pairs of each problem."""


def pairs_of(problems: Sequence[Problem]) -> list[PreferencePair]:
    return [
        PreferencePair(problem, node, "answer", (), MOVE, MOVE)
        for problem in problems
        for node in range(HELD[PROBLEMS.index(problem)])
    ]


PAIRS = pairs_of(PROBLEMS)


@pytest.mark.parametrize("most", [None, 1, 3, 4, 10, 99])
def test_every_pair_is_in_one_step_in_order_and_no_step_has_too_many(most: int | None) -> None:
    steps = update_steps(PAIRS, PROBLEMS, most)
    assert [pair for step in steps for pair in step] == PAIRS
    assert all(step and len(step) <= (most or 10) for step in steps)
    assert len(steps) == -(-10 // (most or 10))


def test_without_pairs_there_is_one_empty_step() -> None:
    assert update_steps([], PROBLEMS, 3) == update_steps([], [], None) == [[]]


@pytest.mark.parametrize("world", [2, 3, 9])
@pytest.mark.parametrize("most", [1, 3, 4, 10])
def test_ranks_together_have_the_steps_of_one(world: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    home = "flowdpo_pl.learn.update_steps"
    shares = [share(PROBLEMS, rank, world) for rank in range(world)]
    counts = [[HELD[PROBLEMS.index(problem)] for problem in own] for own in shares]
    together: list[list[PreferencePair]] = [[] for _ in update_steps(PAIRS, PROBLEMS, most)]
    for rank, own in enumerate(shares):
        with monkeypatch.context() as patch:
            patch.setattr(f"{home}.rank", lambda rank=rank: rank)
            patch.setattr(f"{home}.ranks", lambda: world)
            patch.setattr(f"{home}.whole_batch", lambda held: interleaved(counts))
            for step, part in zip(together, update_steps(pairs_of(own), own, most), strict=True):
                step.extend(part)
    expected = update_steps(PAIRS, PROBLEMS, most)
    assert [sorted(step, key=PAIRS.index) for step in together] == [list(step) for step in expected]

"""Packed rows hold every sequence once, and none sees another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from flowdpo_pl.learn.packing import ScoredMove, pack_rows
from flowdpo_pl.learn.scoring import micro_batches, move_logprobs
from flowdpo_pl.play.flow import ANSWER
from tests.conftest import World
from tests.models import FAMILIES
from tests.oracles import merged_logprobs

SIZES = [(3, 9), (20, 14), (2, 2), (5, 1), (11, 7), (4, 16), (1, 3)]
"""Tokens before and in the move; longer together than the models' windows."""


def sequences() -> list[ScoredMove]:
    generator = torch.Generator().manual_seed(0)
    return [
        ScoredMove(tuple(ids[:before]), tuple(ids[before:]), depth=0)
        for before, move in SIZES
        for ids in [torch.randint(4, 60, (before + move,), generator=generator).tolist()]
    ]


def test_rows_are_full_and_no_longer_than_the_longest_sequence() -> None:
    rows = pack_rows(sequences())
    longest = max(len(sequence.inputs) for sequence in sequences())
    assert [len(row) for row in rows] == [33, 33, 25]
    assert max(map(len, rows)) == longest
    assert sum(len(row.moves) for row in rows) == len(SIZES)
    assert pack_rows([]) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_log_probabilities_are_those_of_sequences_alone(
    family: str, make_world: Callable[..., World]
) -> None:
    world = make_world(family)
    expected = []
    with torch.no_grad():
        for sequence in sequences():
            logits = world.plain.logits(ANSWER, (*sequence.before, *sequence.move))
            scored = merged_logprobs(logits[len(sequence.before) - 1 : -1], world.prompts.end_ids)
            expected.append(float(scored.gather(1, torch.tensor(sequence.move)[:, None]).sum()))
    rows = pack_rows(sequences())
    with world.agents.acting_as(ANSWER), torch.no_grad():
        found = [
            value
            for batch in micro_batches(rows, 10_000, torch.device("cpu"))
            for value in move_logprobs(world.agents, batch, world.head).tolist()
        ]
    assert sorted(found) == pytest.approx(sorted(expected), abs=1e-4)

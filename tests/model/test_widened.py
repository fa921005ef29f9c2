"""Narrow numbers are summed in float32; a base in float64 has everything in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from flowdpo_pl.learn.packing import ScoredMove, pack_rows
from flowdpo_pl.learn.scoring import MicroBatch, move_logprobs
from flowdpo_pl.model.widened import widened
from flowdpo_pl.play.flows.answer_stop import ANSWER
from tests.conftest import World


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_a_tensor_has_float32_at_least(narrow: torch.dtype, wide: torch.dtype) -> None:
    assert widened(torch.ones(2, dtype=narrow)).dtype == wide


def test_a_base_in_float64_learns_in_float64(make_world: Callable[..., World]) -> None:
    world = make_world(dtype="float64")
    batch = MicroBatch.of(pack_rows([ScoredMove((5, 6, 7), (10, 11), 0)]), torch.device("cpu"))
    with world.agents.acting_as(ANSWER):
        logprobs = move_logprobs(world.agents, batch, world.head)
        logprobs.sum().backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in world.agents.parameters_of(ANSWER)]
    assert logprobs.dtype == torch.float64
    assert all(grad is not None and grad.dtype == torch.float64 for grad in gradients)

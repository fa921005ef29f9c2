"""One process alone, and the order of what several hold (`modules.adapter_strategy` is tested with two)."""

from __future__ import annotations

import pytest
import torch

from flowdpo_pl.data.cursor import share
from flowdpo_pl.distributed import broadcast, gathered, interleaved, rank, ranks, sum_gradients, summed
from flowdpo_pl.types import Problem


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [0, 1, 4, 7])
def test_interleaving_the_ranks_shares_gives_the_batch_back(size: int, world: int) -> None:
    batch = [Problem(f"p{n}", "?", "1") for n in range(size)]
    assert interleaved([share(batch, rank, world) for rank in range(world)]) == batch


def test_alone_a_process_is_rank_0_of_1() -> None:
    assert (rank(), ranks()) == (0, 1)


def test_alone_sums_and_lists_are_the_process_s_own() -> None:
    assert summed([1.5, 0.1], torch.device("cpu")) == [1.5, 0.1]
    assert gathered(["a", "b"]) == [["a", "b"]]


def test_alone_gradients_stay_and_those_that_are_not_there_too() -> None:
    """Adam skips a parameter without gradient; one of zeros would move by momentum."""
    with_gradient, without = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    with_gradient.grad = torch.tensor([1.0, 2.0])
    sum_gradients(parameter for parameter in (with_gradient, without))
    broadcast(parameter for parameter in (with_gradient, without))
    assert with_gradient.grad.tolist() == [1, 2] and without.grad is None
    assert with_gradient.tolist() == without.tolist() == [1, 1]

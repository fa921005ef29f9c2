"""A step is one however its micro-batches are cut, clipped as a whole, left out where it is not finite."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan

import pytest
import torch
from torch import Tensor

from flowdpo_pl.learn.adapter_update import AdapterStep, AdapterUpdate
from flowdpo_pl.learn.packing import ScoredMove, pack_rows
from flowdpo_pl.learn.scoring import MicroBatch, move_logprobs
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from tests.conftest import World

TREES = [pack_rows([ScoredMove((5, 6, 7), tuple(range(10, 12 + size)), 0)])[0] for size in (4, 1, 9, 6)]


class Trained:
    """A world's Answer after one step of plain gradient descent at rate 1, and how it moved."""

    def __init__(
        self,
        world: World,
        budget: int = 10_000,
        max_grad_norm: float = 0.0,
        factor: float = 1.0,
        room: float = inf,
    ) -> None:
        self.sizes: list[int] = []
        agents = world.agents
        before = [parameter.detach().clone() for parameter in agents.parameters_of(ANSWER)]

        def contribution(batch: MicroBatch) -> dict[str, float]:
            with agents.acting_as(ANSWER):
                loss = -factor * move_logprobs(agents, batch, world.head).sum()
                loss.backward()  # type: ignore[no-untyped-call]
            self.sizes.append(batch.token_ids.numel())
            if batch.token_ids.numel() > room:  # after gradients, as backward does
                raise torch.OutOfMemoryError
            return {"loss": float(loss.detach()), "moves": batch.moves}

        optimizer = torch.optim.SGD(agents.parameters_of(ANSWER), lr=1.0)
        self.step: AdapterStep = AdapterUpdate(agents, world.draws, budget).step(
            ANSWER, TREES, ["loss", "moves"], contribution, optimizer, max_grad_norm, update=0
        )
        after = agents.parameters_of(ANSWER)
        self.moved = torch.cat([(a.detach() - b).flatten() for a, b in zip(after, before, strict=True)])
        self.left = [parameter.grad for name in (ANSWER, STOP) for parameter in agents.parameters_of(name)]


def test_micro_batches_change_nothing(make_world: Callable[..., World]) -> None:
    whole, cut = Trained(make_world()), Trained(make_world(), budget=1)
    assert len(whole.sizes) == 1 and len(cut.sizes) == len(TREES)
    torch.testing.assert_close(cut.moved, whole.moved, atol=3e-5, rtol=1e-5)  # a GPU adds in any order
    assert cut.step.sums == pytest.approx(whole.step.sums) and whole.step.sums["moves"] == len(TREES)
    assert whole.left == [None] * len(whole.left)


def test_out_of_memory_starts_over_with_half_the_budget(make_world: Callable[..., World]) -> None:
    whole, halved = Trained(make_world()), Trained(make_world(), budget=48, room=30)
    assert max(halved.sizes) > 30 and max(halved.sizes[1:]) <= 30
    torch.testing.assert_close(halved.moved, whole.moved, atol=3e-5, rtol=1e-5)
    assert halved.step.sums == pytest.approx(whole.step.sums)
    with pytest.raises(torch.OutOfMemoryError):  # not even one tree has room
        Trained(make_world(), budget=48, room=max(map(len, TREES)) - 1)


def test_the_whole_gradient_is_clipped_once(make_world: Callable[..., World]) -> None:
    free, clipped = Trained(make_world(), budget=1), Trained(make_world(), budget=1, max_grad_norm=0.5)
    assert free.step.grad_norm == pytest.approx(float(free.moved.norm()), rel=1e-5)
    assert clipped.step.grad_norm == pytest.approx(free.step.grad_norm, rel=1e-6)
    torch.testing.assert_close(clipped.moved, free.moved * (0.5 / free.step.grad_norm), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("factor", [nan, inf])
def test_a_step_that_is_not_finite_is_left_out(factor: float, make_world: Callable[..., World]) -> None:
    trained = Trained(make_world(), factor=factor)
    assert trained.step.set_aside and not trained.moved.any()
    assert trained.left == [None] * len(trained.left)


def test_what_dropout_goes_by_is_the_update_s_own(make_world: Callable[..., World]) -> None:
    world = make_world()
    keys: list[Tensor] = []

    def contribution(batch: MicroBatch) -> dict[str, float]:
        keys.append(batch.keys)
        return {"loss": 0.0}

    update = AdapterUpdate(world.agents, world.draws, 10_000)
    before = torch.get_rng_state()
    for agent, number in ((STOP, 0), (STOP, 1), (ANSWER, 0), (STOP, 0)):
        optimizer = torch.optim.SGD(world.agents.parameters_of(agent), lr=1.0)
        update.step(agent, TREES, ["loss"], contribution, optimizer, 1.0, number)
    assert torch.equal(keys[0], keys[3])
    assert not (keys[0] == keys[1]).any() and not (keys[0] == keys[2]).any()
    assert torch.equal(torch.get_rng_state(), before), "nothing is drawn from torch's own generator"

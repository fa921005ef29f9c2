"""A probe sees what an update would reach, and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from flowdpo_pl.learn.probe_update import probe_update
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from flowdpo_pl.types import Agent, Problem
from tests.conftest import World
from tests.runs import module


@pytest.mark.parametrize("agent", [ANSWER, STOP])
def test_an_agent_begins_as_its_reference(agent: Agent, problems: list[Problem]) -> None:
    probed = probe_update(module().players, agent, problems[0])
    assert probed.margin == 0 and probed.missed == probed.reached == ()


@pytest.mark.parametrize("agent", [ANSWER, STOP])
def test_an_agent_that_has_moved_shows_it(
    agent: Agent, make_world: Callable[..., World], problems: list[Problem]
) -> None:
    probed = probe_update(make_world().players, agent, problems[0])
    assert abs(probed.margin) > probed.rounding


def test_a_frozen_weight_and_one_that_is_reached_from_outside_are_named(problems: list[Problem]) -> None:
    players = module().players
    frozen, *_ = players.agents.parameters_of(ANSWER)
    frozen.requires_grad_(False)
    norm = next(weight for name, weight in players.agents.base.named_parameters() if "norm" in name)
    norm.requires_grad_(True)
    probed = probe_update(players, ANSWER, problems[0])
    (missed,), (reached,) = probed.missed, probed.reached
    assert "lora_A.answer" in missed and "norm" in reached


def test_it_leaves_no_gradient_no_draw_and_no_mode(problems: list[Problem]) -> None:
    players = module().players
    players.agents.train(True)
    before = {name: weight.detach().clone() for name, weight in players.agents.named_parameters()}
    torch.manual_seed(1)
    probe_update(players, STOP, problems[0])
    drawn = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(3))
    assert players.agents.training
    for name, weight in players.agents.named_parameters():
        assert weight.grad is None and torch.equal(weight, before[name])

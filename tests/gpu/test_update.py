"""Scores and gradients on a GPU: packed as padded, of the agent alone that learns, in float32 and bf16."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from flowdpo_pl.types import Agent, Problem
from tests.conftest import World
from tests.gpu.nearness import as_near, in_bf16
from tests.learn.test_adapter_update import test_micro_batches_change_nothing  # noqa: F401
from tests.learn.test_learner import test_an_update_is_that_of_plain_dpo  # noqa: F401
from tests.learn.test_packing import (  # noqa: F401
    test_packed_log_probabilities_are_those_of_sequences_alone,
)
from tests.learn.test_scoring import (  # noqa: F401
    every_fork,
    packed_logprobs,
    test_packed_gradients_equal_padded,
    test_packed_logprobs_equal_padded,
    test_two_logit_stop_margin_and_gradient_equal_the_full_softmax,
)
from tests.oracles import PlainAgents, padded_scores


@pytest.mark.parametrize("agent", [ANSWER, STOP])
def test_bf16_scores_and_gradients_are_as_near_to_float32_as_transformers_own(
    agent: Agent, make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world(dtype="bfloat16")
    pairs = every_fork(world, problems, agent)

    def padded(plain: PlainAgents) -> tuple[Tensor, Tensor]:
        scores = padded_scores(pairs, world.prompts, plain)
        margins = scores.policy_chosen - scores.policy_rejected
        (-logsigmoid(margins)).mean().backward()
        gradients = [p.grad for name, p in plain.model.named_parameters() if f".{agent}." in name]
        return margins.detach(), flat(gradients)

    world.agents.train()
    with world.agents.acting_as(agent):
        scores = packed_logprobs(world, pairs, 10_000)
        policy = [scores[pair.problem.id, pair.node] for pair in pairs]
        margins = torch.stack([value[0] - value[1] for value in policy])
        (-logsigmoid(margins)).mean().backward()
    ours = flat([parameter.grad for parameter in world.agents.parameters_of(agent)])
    own_margins, own = padded(in_bf16(world))
    exact_margins, exact = padded(world.plain)
    assert as_near(margins.detach(), own_margins, exact_margins)
    assert as_near(ours, own, exact)
    other = STOP if agent == ANSWER else ANSWER
    assert all(parameter.grad is None for parameter in world.agents.parameters_of(other))
    assert all(p.grad is None for name, p in world.agents.named_parameters() if "lora" not in name)


def flat(gradients: list[Tensor | None]) -> Tensor:
    return torch.cat([gradient.float().flatten() for gradient in gradients if gradient is not None])


def test_adapters_start_as_on_a_cpu(make_world: Callable[..., World], device: torch.device) -> None:
    folder = make_world().folder

    def start(where: torch.device) -> list[Tensor]:
        with where:
            model, _ = BaseModel(str(folder), dtype="float32").load()
            agents = Agents(model, (ANSWER, STOP), LoraSettings(r=4, alpha=8), seed=3)
        assert agents.device == where and {p.device for p in agents.parameters()} == {where}
        return [p.detach().cpu() for name in agents.names for p in agents.parameters_of(name)]

    assert all(map(torch.equal, start(device), start(torch.device("cpu"))))

"""Packed trees give the log-probabilities, losses and gradients of separate padded pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from flowdpo_pl.learn.losses import SigmoidLoss
from flowdpo_pl.learn.packing import pack, pack_rows, scored_moves
from flowdpo_pl.learn.scoring import micro_batches, move_logprobs
from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from flowdpo_pl.types import Agent, PreferencePair, Problem
from tests.conftest import World
from tests.models import FAMILIES
from tests.oracles import padded_loss, padded_scores


def every_fork(world: World, problems: list[Problem], agent: Agent) -> tuple[PreferencePair, ...]:
    """A pair of every fork of the agent, whatever its verdicts: what packing has to carry at most."""
    trees = world.rollouts().play(problems, NodeAlternatives()).trees
    pairs = tuple(
        PreferencePair(tree.problem, fork.node, agent, tree.main.moves[: fork.node], fork.taken, fork.other)
        for tree in trees
        for fork in tree.forks
        if fork.taken.agent == agent
    )
    assert len(pairs) > 4
    return pairs


def packed_logprobs(
    world: World, pairs: tuple[PreferencePair, ...], budget: int
) -> dict[tuple[str, int], Tensor]:
    """By problem and node, of the chosen and the rejected move."""
    by_problem: defaultdict[str, list[PreferencePair]] = defaultdict(list)
    for pair in pairs:
        by_problem[pair.problem.id].append(pair)
    trees = pack(pairs, world.prompts)
    pairs_of = dict(zip(trees, by_problem.values(), strict=True))
    scores = {}
    for batch in micro_batches(trees, budget, world.agents.device):
        values = move_logprobs(world.agents, batch, world.head)
        ordered = [pair for tree in batch.trees for pair in pairs_of[tree]]
        for index, pair in enumerate(ordered):
            scores[pair.problem.id, pair.node] = values[2 * index : 2 * index + 2]
    return scores


@pytest.mark.parametrize("budget", [1, 10_000])
@pytest.mark.parametrize("agent", [ANSWER, STOP])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_logprobs_equal_padded(
    family: str, agent: Agent, budget: int, make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world(family)
    pairs = every_fork(world, problems, agent)
    expected = padded_scores(pairs, world.prompts, world.plain)
    with world.agents.acting_as(agent):
        policy = packed_logprobs(world, pairs, budget)
    with world.agents.reference(agent):
        reference = packed_logprobs(world, pairs, budget)
    for index, pair in enumerate(pairs):
        key = pair.problem.id, pair.node
        plain = torch.stack([expected.policy_chosen[index], expected.policy_rejected[index]])
        plain_reference = torch.stack([expected.reference_chosen[index], expected.reference_rejected[index]])
        torch.testing.assert_close(policy[key], plain, atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(reference[key], plain_reference, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("agent", [ANSWER, STOP])
def test_packed_gradients_equal_padded(
    agent: Agent, checkpointing: bool, make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world("llama", activation_checkpointing=checkpointing)
    pairs = every_fork(world, problems, agent)
    world.agents.train()
    with world.agents.acting_as(agent):
        policy = packed_logprobs(world, pairs, 10_000)
        margins = torch.stack([value[0] - value[1] for value in policy.values()])
        (-torch.nn.functional.logsigmoid(margins)).mean().backward()
    ours = [parameter.grad for parameter in world.agents.parameters_of(agent)]

    plain = padded_scores(pairs, world.prompts, world.plain)
    (-torch.nn.functional.logsigmoid(plain.policy_chosen - plain.policy_rejected)).mean().backward()
    theirs = {name: p.grad for name, p in world.plain.model.named_parameters() if f".{agent}." in name}
    assert len(ours) == len(theirs) > 0
    for grad, (name, expected) in zip(ours, theirs.items(), strict=True):
        assert grad is not None and expected is not None, name
        torch.testing.assert_close(grad, expected, atol=1e-5, rtol=1e-4)
    other = STOP if agent == ANSWER else ANSWER
    assert all(parameter.grad is None for parameter in world.agents.parameters_of(other))
    assert all(p.grad is None for name, p in world.agents.named_parameters() if "lora" not in name)


def test_packed_gradients_equal_padded_with_dropout(
    make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world(dropout=0.4)
    pairs = every_fork(world, problems, ANSWER)
    world.agents.train()
    apart = [row for pair in pairs for move in scored_moves(pair, world.prompts) for row in pack_rows([move])]
    gradients = []
    for trees, budget in ((pack(pairs, world.prompts), 10_000), (apart, 10_000), (apart, 1)):
        for batch in micro_batches(trees, budget, world.agents.device, salt=5):
            with world.agents.acting_as(ANSWER, batch.keys):
                move_logprobs(world.agents, batch, world.head).sum().backward()  # type: ignore[no-untyped-call]
        gradients.append([p.grad for p in world.agents.parameters_of(ANSWER)])
        world.agents.zero_grad(set_to_none=True)
    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], atol=2e-5, rtol=1e-4)


def test_packing_reads_each_token_once(make_world: Callable[..., World], problems: list[Problem]) -> None:
    world = make_world()
    pairs = every_fork(world, problems, ANSWER)
    trees = pack(pairs, world.prompts)
    apart = sum(len(move.inputs) for pair in pairs for move in scored_moves(pair, world.prompts))
    assert sum(map(len, trees)) < apart / 1.5


def test_loss_is_the_oracle_s(make_world: Callable[..., World], problems: list[Problem]) -> None:
    world = make_world()
    pairs = every_fork(world, problems, ANSWER)
    loss = SigmoidLoss(beta=0.5, label_smoothing=0.1)
    expected = padded_loss(pairs, world.prompts, world.plain, loss)
    scores = padded_scores(pairs, world.prompts, world.plain)
    by_hand = 0.9 * torch.log1p(torch.exp(-0.5 * scores.margin)) + 0.1 * torch.log1p(
        torch.exp(0.5 * scores.margin)
    )
    torch.testing.assert_close(expected, by_hand.mean())


def test_two_logit_stop_margin_and_gradient_equal_the_full_softmax(
    make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world()
    pairs = every_fork(world, problems, STOP)
    with world.agents.acting_as(STOP):
        policy = packed_logprobs(world, pairs, 10_000)
        torch.stack([value[0] - value[1] for value in policy.values()]).sum().backward()
    ours = [parameter.grad for parameter in world.agents.parameters_of(STOP)]

    margins = []
    for pair in pairs:
        context = world.prompts.context(STOP, pair.problem, pair.prefix)
        full = world.plain.logits(STOP, (*context.prefix, *context.suffix))[-1].log_softmax(-1)
        margins.append(full[pair.chosen.token_ids[0]] - full[pair.rejected.token_ids[0]])
    torch.stack(margins).sum().backward()
    expected = [p.grad for name, p in world.plain.model.named_parameters() if f".{STOP}." in name]
    for pair, margin in zip(pairs, margins, strict=True):
        chosen, rejected = policy[pair.problem.id, pair.node]
        torch.testing.assert_close(chosen - rejected, margin, atol=1e-5, rtol=1e-5)
    for own, plain in zip(ours, expected, strict=True):
        assert own is not None and plain is not None
        torch.testing.assert_close(own, plain, atol=1e-5, rtol=1e-4)

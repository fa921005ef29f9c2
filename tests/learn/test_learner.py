"""An agent's update from pairs is plain DPO: stock transformers and PEFT, padded pairs, one step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from examples.losses import SimPO
from flowdpo_pl.learn import learner
from flowdpo_pl.learn.advantages import GroupNormalised
from flowdpo_pl.learn.groups import MoveGroup
from flowdpo_pl.learn.learner import Learner, Learning, averaged
from flowdpo_pl.learn.losses import PreferenceLoss, SigmoidLoss, pair_scores
from flowdpo_pl.learn.packing import pack_rows, scored_moves
from flowdpo_pl.learn.policy_gradient import ClippedPolicyGradient, PolicyGradient
from flowdpo_pl.learn.scoring import MicroBatch
from flowdpo_pl.play.exploration import NodeGroups
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP
from flowdpo_pl.types import Agent, Problem
from tests.conftest import World
from tests.learn.test_losses import each_loss
from tests.learn.test_scoring import every_fork
from tests.oracles import padded_move_scores, padded_scores

LEARNING = Learning(loss=SigmoidLoss(beta=0.5), max_grad_norm=0.05)


def learner_of(world: World, token_budget: int) -> Learner:
    return Learner(world.players, world.draws, torch.Tensor.backward, token_budget)


@pytest.mark.parametrize("token_budget", [1, 10_000])
@pytest.mark.parametrize("agent", [ANSWER, STOP])
def test_an_update_is_that_of_plain_dpo(
    agent: Agent, token_budget: int, make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world()
    pairs = every_fork(world, problems, agent)
    plain = {name: p for name, p in world.plain.model.named_parameters() if f".{agent}." in name}
    scores = padded_scores(pairs, world.prompts, world.plain)
    losses = LEARNING.loss(scores)
    losses.mean().backward()
    grad_norm = torch.nn.utils.clip_grad_norm_(plain.values(), LEARNING.max_grad_norm)
    torch.optim.SGD(plain.values(), lr=1.0).step()

    optimizer = torch.optim.SGD(world.agents.parameters_of(agent), lr=1.0)
    learnt = learner_of(world, token_budget).learn(agent, pairs, LEARNING, optimizer, update=0)
    assert learnt.lessons == len(pairs) and not learnt.set_aside
    assert learnt.means["loss"] == pytest.approx(float(losses.detach().mean()), abs=1e-5)
    assert learnt.grad_norm == pytest.approx(float(grad_norm), rel=1e-3)
    assert learnt.means["margin"] == pytest.approx(float(scores.margin.detach().mean()), abs=1e-4)
    assert learnt.means["chosen_logprob"] == pytest.approx(
        float(scores.policy_chosen.detach().mean()), abs=1e-4
    )
    assert learnt.means["rejected_logprob"] == pytest.approx(
        float(scores.policy_rejected.detach().mean()), abs=1e-4
    )
    shift = (scores.policy_chosen - scores.reference_chosen).detach().mean()
    assert learnt.means["chosen_shift"] == pytest.approx(float(shift), abs=1e-4)
    assert learnt.means["preferred"] == pytest.approx(float((scores.margin > 0).float().mean()))
    for own, (name, expected) in zip(world.agents.parameters_of(agent), plain.items(), strict=True):
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4, msg=name)


@each_loss
@pytest.mark.parametrize("agent", [ANSWER, STOP])
def test_every_loss_and_its_gradients_are_those_of_padded_pairs(
    agent: Agent, loss: PreferenceLoss, make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world()
    pairs = every_fork(world, problems, agent)
    plain = {name: p for name, p in world.plain.model.named_parameters() if f".{agent}." in name}
    expected = loss(padded_scores(pairs, world.prompts, world.plain)).mean()
    expected.backward()
    torch.optim.SGD(plain.values(), lr=1.0).step()

    optimizer = torch.optim.SGD(world.agents.parameters_of(agent), lr=1.0)
    learning = Learning(loss=loss, max_grad_norm=0)
    learnt = learner_of(world, 10_000).learn(agent, pairs, learning, optimizer, update=0)
    assert learnt.means["loss"] == pytest.approx(float(expected.detach()), rel=1e-4)
    for own, (name, value) in zip(world.agents.parameters_of(agent), plain.items(), strict=True):
        torch.testing.assert_close(own, value, atol=2e-5, rtol=1e-4, msg=name)


def every_group(world: World, problems: list[Problem], agent: Agent) -> list[MoveGroup]:
    trees = world.rollouts().play(problems, NodeGroups()).trees
    return [one for one in PolicyGradient(kl=1.0).mine(trees, 0.0) if one.agent == agent]


@pytest.mark.parametrize("agent", [ANSWER, STOP])
def test_a_policy_gradient_is_that_of_padded_moves(
    agent: Agent, make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world()
    lessons = every_group(world, problems, agent)
    assert len(lessons) > 4 and any(one.teaches for one in lessons)
    objective = PolicyGradient(kl=0.1, advantage=GroupNormalised())
    plain = {name: p for name, p in world.plain.model.named_parameters() if f".{agent}." in name}
    losses, numbers = objective.score(padded_move_scores(lessons, world.prompts, world.plain), lessons)
    (losses.sum() / len(problems)).backward()
    torch.optim.SGD(plain.values(), lr=1.0).step()

    optimizer = torch.optim.SGD(world.agents.parameters_of(agent), lr=1.0)
    learning = Learning(loss=objective, max_grad_norm=0)
    learnt = learner_of(world, 1).learn(agent, lessons, learning, optimizer, 0, len(problems))
    for name, value in numbers.items():
        assert learnt.means[name] == pytest.approx(float(value.detach().mean()), abs=1e-4)
    for own, (name, value) in zip(world.agents.parameters_of(agent), plain.items(), strict=True):
        torch.testing.assert_close(own, value, atol=2e-5, rtol=1e-4, msg=name)


def test_the_shares_of_two_ranks_add_up_to_the_update_of_one(
    make_world: Callable[..., World], problems: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    lessons = [one for one in every_group(make_world(), problems, ANSWER) if one.teaches]
    shares: list[list[int]] = []

    def over_both_ranks(share: list[int], *_: object) -> list[int]:
        shares.append(share)
        return [len(lessons), len(problems)]

    monkeypatch.setattr(learner, "summed", over_both_ranks)
    moved = []
    for share, played in ((lessons, len(problems)), (lessons[::2], 1), (lessons[1::2], len(problems) - 1)):
        world = make_world()
        weights = world.agents.parameters_of(ANSWER)
        start = [value.detach().clone() for value in weights]
        learning = Learning(loss=PolicyGradient(), max_grad_norm=0)
        learner_of(world, 10_000).learn(ANSWER, share, learning, torch.optim.SGD(weights, lr=1.0), 0, played)
        moved.append([value.detach() - before for value, before in zip(weights, start, strict=True)])
    assert (
        [sum(parts) for parts in zip(*shares[1:], strict=True)] == shares[0] == [len(lessons), len(problems)]
    )
    for whole, *parts in zip(*moved, strict=True):
        torch.testing.assert_close(sum(parts), whole, atol=1e-6, rtol=1e-4)


def test_a_clipped_first_step_is_the_plain_one_and_a_second_compares_with_the_start(
    make_world: Callable[..., World], problems: list[Problem]
) -> None:
    after = []
    for loss in (PolicyGradient(), ClippedPolicyGradient(clip=1e-3)):
        world = make_world()
        lessons = [one for one in every_group(world, problems, ANSWER) if one.teaches]
        learner, learning = learner_of(world, 10_000), Learning(loss=loss, max_grad_norm=0)
        optimizer = torch.optim.SGD(world.agents.parameters_of(ANSWER), lr=1e-4)
        before = learner.before(ANSWER, lessons) if loss.passes > 1 else None
        first = learner.learn(ANSWER, lessons, learning, optimizer, 0, len(problems), before)
        after.append([p.detach().clone() for p in world.agents.parameters_of(ANSWER)])
        if loss.passes > 1:
            second = learner.learn(ANSWER, lessons, learning, optimizer, 1, len(problems), before)
            assert first.means["clipped"] == 0 < second.means["clipped"]
            assert second.means["loss"] < first.means["loss"]
    for plain, clipped in zip(*after, strict=True):
        torch.testing.assert_close(clipped, plain, atol=1e-6, rtol=1e-4)


def test_a_loss_without_reference_saves_its_forward_and_learns_the_same(
    make_world: Callable[..., World], problems: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asking(SimPO):
        needs_reference = True

    forwards, after = [], []
    scored = learner.move_logprobs
    monkeypatch.setattr(learner, "move_logprobs", lambda *given: forwards.append(1) or scored(*given))
    for loss in (Asking(), SimPO()):
        forwards.clear()
        world = make_world()
        pairs = every_fork(world, problems, ANSWER)
        optimizer = torch.optim.SGD(world.agents.parameters_of(ANSWER), lr=1.0)
        learning = Learning(loss=loss)
        learnt = learner_of(world, 10_000).learn(ANSWER, pairs, learning, optimizer, update=0)
        assert len(forwards) == 1 + loss.needs_reference
        compared = (learnt.means["margin"], learnt.means["chosen_shift"], learnt.means["preferred"])
        assert not learnt.set_aside and all(map(math.isnan, compared)) != loss.needs_reference
        after.append((learnt.means["loss"], [p.detach().clone() for p in world.agents.parameters_of(ANSWER)]))
    assert after[0][0] == after[1][0]
    assert all(map(torch.equal, after[0][1], after[1][1]))


def test_without_pairs_there_is_no_step(make_world: Callable[..., World]) -> None:
    world = make_world()
    before = [parameter.detach().clone() for parameter in world.agents.parameters_of(ANSWER)]
    optimizer = torch.optim.Adam(world.agents.parameters_of(ANSWER))
    learnt = learner_of(world, 100).learn(ANSWER, [], LEARNING, optimizer, update=0)
    assert learnt.lessons == learnt.tokens == 0 and math.isnan(learnt.means["loss"]) and not learnt.set_aside
    assert not optimizer.state
    for parameter, old in zip(world.agents.parameters_of(ANSWER), before, strict=True):
        assert torch.equal(parameter, old) and parameter.grad is None


def test_pair_scores_take_the_moves_in_turn_with_their_lengths(
    make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world()
    pairs = every_fork(world, problems, ANSWER)[:3]
    moves = [move for pair in pairs for move in scored_moves(pair, world.prompts)]
    batch = MicroBatch.of([tree for move in moves for tree in pack_rows([move])], torch.device("cpu"))
    scores = pair_scores(torch.arange(6.0), -torch.arange(6.0), batch)
    assert scores.policy_chosen.tolist() == [0, 2, 4] and scores.policy_rejected.tolist() == [1, 3, 5]
    assert scores.reference_chosen.tolist() == [0, -2, -4] and scores.reference_rejected.tolist() == [
        -1,
        -3,
        -5,
    ]
    assert scores.chosen_tokens.tolist() == [len(pair.chosen.token_ids) for pair in pairs]
    assert scores.rejected_tokens.tolist() == [len(pair.rejected.token_ids) for pair in pairs]


def test_several_updates_count_by_their_pairs(
    make_world: Callable[..., World], problems: list[Problem]
) -> None:
    world = make_world()
    optimizer = torch.optim.SGD(world.agents.parameters_of(ANSWER), lr=0.0)
    some = learner_of(world, 10_000).learn(
        ANSWER, every_fork(world, problems, ANSWER)[:1], LEARNING, optimizer, update=0
    )
    more = replace(
        some, lessons=3, means={**some.means, "loss": some.means["loss"] + 4}, tokens=7, set_aside=True
    )
    unknown = dict.fromkeys(some.means, math.nan)
    none = replace(some, lessons=0, means=unknown, grad_norm=math.nan, tokens=0)
    numbers = averaged([some, none, more])
    assert numbers["loss"] == pytest.approx(some.means["loss"] + 3)
    assert numbers["margin"] == pytest.approx(some.means["margin"])
    assert numbers["tokens"] == some.tokens + 7 and numbers["updates_set_aside"] == 1
    assert math.isnan(averaged([none])["loss"])

"""A tiny update that is taken back: whether learning would begin where it should, and reach what it should.

One pair of one agent is scored and its loss differentiated. There is no optimizer and no dropout, nothing is
drawn, and all gradients are dropped again: a run is bit-identical with and without.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from flowdpo_pl.learn.losses import SigmoidLoss, pair_scores
from flowdpo_pl.learn.packing import pack
from flowdpo_pl.learn.scoring import MicroBatch, move_logprobs
from flowdpo_pl.play.players import Players
from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.types import Agent, Move, PreferencePair, Problem

_TIMES_ROUNDING = 4
"""A policy that is the reference computes the same sums; where kernels differ they round a few times
apart."""


@dataclass(frozen=True)
class ProbedUpdate:
    """What an agent's update would begin with."""

    agent: Agent
    margin: float
    """Policy against reference, in nats: 0 where the agent begins as its reference."""
    rounding: float
    """What may be left of a margin of 0, in nats."""
    missed: tuple[str, ...]
    """Weights of the agent's adapter without a gradient; all of them where every gradient is 0."""
    reached: tuple[str, ...]
    """Other weights with one."""


def probe_update(players: Players, agent: Agent, problem: Problem) -> ProbedUpdate:
    """Score a pair of two short moves of `agent` at the beginning of `problem`, and look at its gradients."""
    agents = players.agents
    pair = _pair(players.prompts, agent, problem)
    batch = MicroBatch.of(pack([pair], players.prompts), agents.device)
    was_training = agents.training
    agents.train(False)
    try:
        with agents.reference(agent):
            reference = move_logprobs(agents, batch, players.head)
        with torch.enable_grad(), agents.acting_as(agent):
            scores = pair_scores(move_logprobs(agents, batch, players.head), reference, batch)
            SigmoidLoss()(scores).sum().backward()
        missed, reached = _gradients(players, agent)
    finally:
        agents.train(was_training)
        for parameter in agents.parameters():
            parameter.grad = None
    size = max(1.0, float(reference.abs().max()))
    rounding = _TIMES_ROUNDING * torch.finfo(agents.dtype).eps * size
    return ProbedUpdate(agent, float(scores.margin.detach()[0]), rounding, missed, reached)


def _gradients(players: Players, agent: Agent) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the agent's weights that have no gradient, and of others that have one."""
    own = set(map(id, players.agents.parameters_of(agent)))
    named = list(players.agents.named_parameters())
    mine = [(name, weight.grad) for name, weight in named if id(weight) in own]
    missed = tuple(name for name, slope in mine if slope is None)
    if not any(slope is not None and bool(slope.any()) for _, slope in mine):
        missed = tuple(name for name, _ in mine)
    return missed, tuple(name for name, weight in named if id(weight) not in own and weight.grad is not None)


def _pair(prompts: PromptBook, agent: Agent, problem: Problem) -> PreferencePair:
    words = prompts.option_words(agent)
    if words:
        moves = [
            Move(agent, (token,), word, option=option)
            for option, (token, word) in enumerate(zip(prompts.options(agent), words, strict=True))
        ][:2]
    else:
        moves = [Move(agent, prompts.written(text), text) for text in ("1", "2")]
    return PreferencePair(problem, 0, agent, (), *moves)

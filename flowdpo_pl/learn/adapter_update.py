"""One optimizer step of one agent: micro-batches that fit in memory, all ranks together, clipped.

What is learnt, from pairs or from traces, is a function of a micro-batch that leaves its gradients on
the adapter and returns numbers to add up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import nn

from flowdpo_pl.distributed import sum_gradients, summed
from flowdpo_pl.draws import Draws
from flowdpo_pl.learn.packing import PackedTree
from flowdpo_pl.learn.scoring import MicroBatch, micro_batches
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.types import Agent

Contribution: TypeAlias = Callable[[MicroBatch], dict[str, float]]
"""Reads a micro-batch; returns the sums that its caller named."""


class Optimizer(Protocol):
    """What an update asks of an optimizer: torch's own have it, and a trainer's wrappers of them."""

    def step(self) -> Any:
        """Change the parameters by their gradients."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients."""
        ...


@dataclass(frozen=True)
class AdapterStep:
    """What one step saw."""

    sums: dict[str, float]
    """Of all micro-batches of all ranks."""
    grad_norm: float
    """Before clipping; nan without anything to learn from."""
    set_aside: bool
    """The loss or gradient was not finite: there was no step."""


class AdapterUpdate:
    """Steps of the agents' optimizer, one agent at a time."""

    def __init__(self, agents: Agents, draws: Draws, token_budget: int) -> None:
        """`token_budget`: padded tokens in one forward."""
        self.agents = agents
        self.draws = draws
        self.token_budget = token_budget

    def step(
        self,
        agent: Agent,
        trees: Sequence[PackedTree],
        names: Sequence[str],
        contribution: Contribution,
        optimizer: Optimizer,
        max_grad_norm: float,
        update: int,
    ) -> AdapterStep:
        """One step of `agent` from the gradients of `contribution`, which says `loss` among its sums.

        `names` are the sums; `update` numbers the run's updates and seeds dropout. Call it on every rank
        if any has trees, else on none.
        """
        device = self.agents.device
        parameters = self.agents.parameters_of(agent)
        salt = self.draws.key("dropout", agent, update)
        own = self.sums(agent, trees, names, contribution, salt)
        sums = dict(zip(names, summed([own[name] for name in names], device), strict=True))
        sum_gradients(parameters)
        grad_norm = float(nn.utils.clip_grad_norm_(parameters, max_grad_norm or math.inf))
        sound = math.isfinite(sums["loss"]) and math.isfinite(grad_norm)
        if sound:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return AdapterStep(sums, grad_norm, set_aside=not sound)

    def sums(
        self,
        agent: Agent,
        trees: Sequence[PackedTree],
        names: Sequence[str],
        contribution: Contribution,
        salt: int = 0,
    ) -> dict[str, float]:
        """What `contribution` says of all trees of this rank, added up.

        `salt` is the update's own in what dropout goes by. Out of memory starts over with half the budget.
        """
        budget = self.token_budget
        while True:
            try:
                sums = dict.fromkeys(names, 0.0)
                for batch in micro_batches(trees, budget, self.agents.device, salt):
                    for name, value in contribution(batch).items():
                        sums[name] += value
                return sums
            except torch.OutOfMemoryError:
                for parameter in self.agents.parameters_of(agent):
                    parameter.grad = None
                longest = max(map(len, trees))
                if budget <= longest:
                    raise
                budget = max(longest, budget // 2)

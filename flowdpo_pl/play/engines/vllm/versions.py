"""What the agents are called on the servers: a new name for each version, counted alike on all ranks.

A name is never used for other weights: vLLM's prefix cache goes by it, and an adapter that is loaded in place
of another is read anew at every step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowdpo_pl.play.engines.vllm.fleet import Fleet, Place
from flowdpo_pl.play.engines.vllm.guard import Guard, Weights
from flowdpo_pl.types import Agent

if TYPE_CHECKING:
    from flowdpo_pl.model.agents import Agents


@dataclass(frozen=True)
class Version:
    """An agent's adapter as it was at some time."""

    agent: Agent
    name: str
    """On the servers."""
    weights: tuple[Tensor, ...]
    before: Version | None
    """What it replaces; that one's own is None by then."""


class Versions(ABC):
    """Today's versions, which all servers hold."""

    def __init__(self, agents: Agents, fleet: Fleet, guard: Guard, tag: str) -> None:
        """
        Args:
            agents: whose they are.
            fleet: the servers.
            guard: sees that these play what they were given.
            tag: the end of all names, since another run may use the same servers.
        """
        self._agents = agents
        self._fleet = fleet
        self._guard = guard
        self._tag = tag
        self._number = 0
        self._versions: dict[Agent, Version] = {}

    def name_of(self, agent: Agent) -> str | None:
        """What the agent is called on the servers; None: it has no adapter and is the base."""
        return self._versions[agent].name if agent in self._versions else None

    def push(self) -> None:
        """Have every server hold the agents as they are now.

        Raises:
            UserError: a server can't load one, plays something else, or none is left.
        """
        fresh = []
        for agent in self._agents.names:
            before, now = self._versions.get(agent), self._agents.parameters_of(agent)
            if before is None or not all(map(torch.equal, before.weights, now)):
                self._number += 1
                name = f"{agent}-{self._number:06d}-{self._tag}"
                weights = tuple(parameter.detach().clone() for parameter in now)
                replaced = before and Version(agent, before.name, before.weights, None)
                self._versions[agent] = Version(agent, name, weights, replaced)
                fresh.append(self._versions[agent])
        if fresh:
            self._give(fresh)

    def confirm(self) -> None:
        """See that every server still plays these versions on this base: one may have been started anew.

        Raises:
            UserError: one plays something else, or none is left.
        """
        versions = {version.name: version for version in self._versions.values()}
        for server, name, written in self._fleet.answers(self._guard.asked_in_passing, [*versions]):
            others: dict[str, Weights] = {"the base": None}
            others |= {f"agent '{v.agent}'": v.weights for v in versions.values() if v.name != name}
            self._guard.require_weights(server, name, written, versions[name].weights, others)

    @abstractmethod
    def admit(self, place: Place) -> None:
        """See that a server that has just come can be used; it holds what all others do afterwards.

        Raises:
            ServerLost: it gives no answer.
            UserError: it can't load an adapter, or plays something else than the trainer would.
        """

    @abstractmethod
    def close(self) -> None:
        """Nothing is asked for any more."""

    @abstractmethod
    def _give(self, fresh: Sequence[Version]) -> None:
        """Have every server hold these, and no longer what they replace."""

"""The agents' adapters on the servers: a new name for each version, pushed when weights have changed.

A name is never used twice: vLLM's prefix cache goes by it, and an adapter that is loaded in place of another
is read anew at every step.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.vllm.fleet import Fleet, Place
from flowdpo_pl.play.engines.vllm.guard import Guard, Weights
from flowdpo_pl.play.engines.vllm.server import Server
from flowdpo_pl.types import Agent

if TYPE_CHECKING:
    from flowdpo_pl.model.agents import Agents

_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Version:
    """An agent's adapter as it was when it was pushed."""

    name: str
    folder: Path
    weights: tuple[Tensor, ...]
    losses: int
    """Of servers, until it was pushed."""


class Adapters:
    """What the servers hold of these agents."""

    def __init__(self, agents: Agents, fleet: Fleet, guard: Guard, folder: Path | None) -> None:
        """
        Args:
            agents: whose they are.
            fleet: the servers.
            guard: sees that they play what they were given.
            folder: where adapters are written for the servers to read; None: memory of this machine.

        Raises:
            UserError: nothing can be written there.
        """
        self._agents = agents
        self._fleet = fleet
        self._guard = guard
        where = folder if folder is not None else (_MEMORY if os.access(_MEMORY, os.W_OK) else None)
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="flowdpo-", dir=where)).absolute()
        except OSError as error:
            raise UserError(
                f"model.team.engine.folder: adapters can't be written there ({error}): name another folder, "
                "which the servers see too."
            ) from error
        self._folder.chmod(0o755)  # a server may run as somebody else
        self._tag = self._folder.name.removeprefix("flowdpo-")
        self._number = 0
        self._versions: dict[Agent, Version] = {}

    def close(self) -> None:
        """Take everything off the servers and the disk."""
        with suppress(UserError):  # no server is left that could be told
            for version in self._versions.values():
                self._fleet.tell(partial(_forget, version.name))
        self._versions.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def name_of(self, agent: Agent) -> str | None:
        """What the agent is called on the servers; None: it has no adapter and is the base."""
        return self._versions[agent].name if agent in self._versions else None

    def admit(self, place: Place) -> None:
        """Have a server that has just come tell adapters apart, and load what all others hold.

        Raises:
            ServerLost: it gives no answer.
            UserError: it can't load one, or plays something else than the trainer would.
        """
        names: dict[str, Weights] = {place.base: None}
        for canary in self._canaries:
            place.server.load(canary.name, canary.folder)
            names[canary.name] = canary.weights
        self._guard.require_own(place.server, names)
        for canary in self._canaries:
            place.server.unload(canary.name)
        for agent, version in self._versions.items():
            place.server.load(version.name, version.folder)
            self._guard.require_version(place.server, agent, version.name, version.weights, None)

    def push(self) -> None:
        """Give every server the adapters that have changed since, and see that it plays them.

        Raises:
            UserError: a server can't load one, plays something else, or none is left.
        """
        for agent in self._agents.names:
            before = self._versions.get(agent)
            if before is None or not all(map(torch.equal, before.weights, self._agents.parameters_of(agent))):
                self._versions[agent] = version = self._written(agent, agent)
                self._fleet.tell(partial(self._give, agent, version, before.weights if before else None))
                if before is not None:
                    self._retire(before)

    def _give(self, agent: Agent, version: Version, before: Weights, server: Server) -> None:
        server.load(version.name, version.folder)
        self._guard.require_version(server, agent, version.name, version.weights, before)

    def _written(self, agent: Agent, called: str) -> Version:
        """The agent's adapter as it is now, on disk."""
        self._number += 1
        name = f"{called}-{self._number:06d}-{self._tag}"  # another run may use the same server
        kept = self._folder / name
        self._agents.save(kept, [agent])
        weights = tuple(p.detach().clone() for p in self._agents.parameters_of(agent))
        return Version(name, kept / agent, weights, self._fleet.losses)

    @cached_property
    def _canaries(self) -> list[Version]:
        """Strong random adapters, which no young one can be taken for."""
        agent, versions = self._agents.names[0], []
        for number in (1, 2):
            with self._agents.lent(agent, self._guard.strong(number)):
                versions.append(self._written(agent, f"canary{number}"))
        return versions

    def _retire(self, version: Version) -> None:
        """Forget its name, and its folder unless a server that was lost may still have a request for it.

        vLLM ends if it has to read an adapter again whose folder is gone.
        """
        self._fleet.tell(partial(_forget, version.name))
        if self._fleet.losses == version.losses:
            shutil.rmtree(version.folder.parent, ignore_errors=True)


def _forget(name: str, server: Server) -> None:
    server.unload(name)

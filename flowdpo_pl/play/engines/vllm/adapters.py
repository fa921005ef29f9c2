"""The agents' adapters on the servers: a new name for each version, pushed when weights have changed.

A name is never used twice: vLLM's prefix cache goes by it, and an adapter that is loaded in place of another
is read anew at every step.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.vllm.fleet import Fleet, Place
from flowdpo_pl.play.engines.vllm.guard import Guard, Weights
from flowdpo_pl.play.engines.vllm.own_folder import own_folder
from flowdpo_pl.play.engines.vllm.server import Generated, Server
from flowdpo_pl.types import Agent

if TYPE_CHECKING:
    from flowdpo_pl.model.agents import Agents

_LOG = logging.getLogger(__name__)
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

    def __init__(self, agents: Agents, fleet: Fleet, guard: Guard, folder: Path) -> None:
        """
        Args:
            agents: whose they are.
            fleet: the servers.
            guard: sees that they play what they were given.
            folder: of `written_for_servers`.
        """
        self._agents = agents
        self._fleet = fleet
        self._guard = guard
        self._folder = folder
        self._tag = folder.name.rsplit("-", 1)[1]
        self._number = 0
        self._versions: dict[Agent, Version] = {}

    def close(self) -> None:
        """Take everything off the servers."""
        with suppress(UserError):  # no server is left that could be told
            for version in self._versions.values():
                self._fleet.tell(partial(_forget, version.name))
        self._versions.clear()

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
        for version in self._versions.values():
            _load(version, place.server)
            self._require(place.server, version, self._guard.asked(place.server, version.name), None)

    def push(self) -> None:
        """Give every server the adapters that have changed since, and see that it plays them.

        Raises:
            UserError: a server can't load one, plays something else, or none is left.
        """
        replaced: dict[Agent, Version | None] = {}
        for agent in self._agents.names:
            before = self._versions.get(agent)
            if before is None or not all(map(torch.equal, before.weights, self._agents.parameters_of(agent))):
                self._versions[agent] = self._written(agent, agent)
                replaced[agent] = before
        fresh = {self._versions[agent].name: agent for agent in replaced}
        for agent in replaced:
            self._fleet.tell(partial(_load, self._versions[agent]))
        for server, name, written in self._fleet.answers(self._guard.asked, [*fresh]) if fresh else ():
            assert name is not None
            self._require(server, self._versions[fresh[name]], written, replaced[fresh[name]])
        for before in replaced.values():
            if before is not None:
                self._retire(before)

    def confirm(self) -> None:
        """See that every server still plays the base and these versions: one may have been started anew.

        Raises:
            UserError: one plays something else, or none is left.
        """
        known: dict[str | None, tuple[str, Weights]] = {None: ("the base", None)}
        for agent, version in self._versions.items():
            known[version.name] = f"agent '{agent}'", version.weights
        for server, name, written in self._fleet.answers(self._guard.asked_in_passing, [*known]):
            others = dict(of for other, of in known.items() if other != name)
            self._guard.require_weights(server, name or "of the base", written, known[name][1], others)

    def _require(self, server: Server, version: Version, written: Generated, before: Version | None) -> None:
        replaced = {} if before is None else {f"the version before, {before.name}": before.weights}
        if self._guard.require_weights(server, version.name, written, version.weights, replaced):
            _LOG.info("%s: %s is indistinguishable from what was before it", server.url, version.name)

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


@contextmanager
def written_for_servers(where: Path | None) -> Iterator[Path]:
    """The folder of a session's adapters, which servers read.

    Args:
        where: the folder that it lies in; None: memory of this machine.

    Raises:
        UserError: nothing can be written there.
    """
    if where is None and os.access(_MEMORY, os.W_OK):
        where = _MEMORY
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(own_folder("adapters", where))
        except OSError as error:
            raise UserError(
                f"model.team.engine.folder: adapters can't be written there ({error}): name another folder, "
                "which the servers see too."
            ) from error
        folder.chmod(0o755)  # a server may run as somebody else
        yield folder


def _load(version: Version, server: Server) -> None:
    server.load(version.name, version.folder)


def _forget(name: str, server: Server) -> None:
    server.unload(name)

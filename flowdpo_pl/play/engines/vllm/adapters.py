"""The agents' adapters, written to disk and loaded onto the servers when weights have changed."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.vllm.fleet import Fleet, Place
from flowdpo_pl.play.engines.vllm.guard import Guard, Weights
from flowdpo_pl.play.engines.vllm.own_folder import own_folder
from flowdpo_pl.play.engines.vllm.server import Generated, Server
from flowdpo_pl.play.engines.vllm.versions import Version, Versions

if TYPE_CHECKING:
    from flowdpo_pl.model.agents import Agents

_LOG = logging.getLogger(__name__)
_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class _Kept:
    """A version on disk."""

    folder: Path
    losses: int
    """Of servers, until it was written."""


class Adapters(Versions):
    """What this process gives to the servers."""

    def __init__(self, agents: Agents, fleet: Fleet, guard: Guard, tag: str, folder: Path) -> None:
        """`folder`: of `written_for_servers`; the others as for `Versions`."""
        super().__init__(agents, fleet, guard, tag)
        self._folder = folder
        self._kept: dict[str, _Kept] = {}

    def close(self) -> None:
        """Take everything off the servers."""
        with suppress(UserError):  # no server is left that could be told
            for version in self._versions.values():
                self._fleet.tell(partial(_forget, version.name))
        self._versions.clear()

    def admit(self, place: Place) -> None:
        names: dict[str, Weights] = {place.base: None}
        for name, (kept, weights) in self._canaries.items():
            place.server.load(name, kept)
            names[name] = weights
        self._guard.require_own(place.server, names)
        for name in self._canaries:
            place.server.unload(name)
        for version in self._versions.values():
            self._load(version, place.server)
            self._require(version, place.server, self._guard.asked(place.server, version.name))

    def _give(self, fresh: Sequence[Version]) -> None:
        for version in fresh:
            folder = self._folder / version.name
            self._agents.save(folder, [version.agent])
            self._kept[version.name] = _Kept(folder / version.agent, self._fleet.losses)
            self._fleet.tell(partial(self._load, version))
        names = {version.name: version for version in fresh}
        for server, name, written in self._fleet.answers(self._guard.asked, [*names]):
            self._require(names[name], server, written)
        for version in fresh:
            if version.before is not None:
                self._retire(version.before)

    def _load(self, version: Version, server: Server) -> None:
        server.load(version.name, self._kept[version.name].folder)

    def _require(self, version: Version, server: Server, written: Generated) -> None:
        before = version.before
        replaced = {} if before is None else {f"the version before, {before.name}": before.weights}
        if self._guard.require_weights(server, version.name, written, version.weights, replaced):
            _LOG.info("%s: %s is indistinguishable from what was before it", server.url, version.name)

    @cached_property
    def _canaries(self) -> dict[str, tuple[Path, Weights]]:
        """Strong random adapters, which no young one can be taken for, by name."""
        agent = self._agents.names[0]
        canaries: dict[str, tuple[Path, Weights]] = {}
        for number in (1, 2):
            name, weights = f"canary{number}-{self._tag}", self._guard.strong(number)
            with self._agents.lent(agent, weights):
                self._agents.save(self._folder / name, [agent])
            canaries[name] = self._folder / name / agent, weights
        return canaries

    def _retire(self, version: Version) -> None:
        """Forget its name, and its folder unless a server that was lost may still have a request for it.

        vLLM ends if it has to read an adapter again whose folder is gone.
        """
        self._fleet.tell(partial(_forget, version.name))
        kept = self._kept.pop(version.name)
        if self._fleet.losses == kept.losses:
            shutil.rmtree(kept.folder.parent, ignore_errors=True)


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


def _forget(name: str, server: Server) -> None:
    server.unload(name)

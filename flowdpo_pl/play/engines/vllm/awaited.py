"""Adapters on a rank that loads none: rank 0 does, and this one waits until the servers have them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from flowdpo_pl.play.engines.vllm.fleet import Place
from flowdpo_pl.play.engines.vllm.server import Server, ServerLost
from flowdpo_pl.play.engines.vllm.versions import Version, Versions

_SECONDS = 0.1


class Awaited(Versions):
    """Versions that rank 0 gives to the servers under the same names: weights are equal on all ranks."""

    def close(self) -> None:
        self._versions.clear()

    def admit(self, place: Place) -> None:
        """Rank 0 tells adapters apart; here the base is looked at, for the noise."""
        self._guard.require_own(place.server, {place.base: None})
        self._wait(list(self._versions.values()), place.server)

    def _give(self, fresh: Sequence[Version]) -> None:
        self._fleet.tell(lambda server: self._wait(fresh, server))

    def _wait(self, versions: Sequence[Version], server: Server) -> None:
        """
        Raises:
            ServerLost: they don't come while an answer may take.
        """
        until = time.monotonic() + server.timeout
        names = {version.name for version in versions}
        while not names <= server.adapters():
            if time.monotonic() > until:
                raise ServerLost(f"{server.url} has not been given today's adapters by rank 0")
            time.sleep(_SECONDS)

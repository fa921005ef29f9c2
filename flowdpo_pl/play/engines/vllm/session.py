"""Servers that hold the agents' adapters of today: from the first request until it is closed."""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from flowdpo_pl.distributed import of_first, rank
from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.vllm.adapters import Adapters, written_for_servers
from flowdpo_pl.play.engines.vllm.awaited import Awaited
from flowdpo_pl.play.engines.vllm.fleet import Fleet, Job
from flowdpo_pl.play.engines.vllm.guard import Guard
from flowdpo_pl.play.engines.vllm.server import Generated, Server
from flowdpo_pl.play.engines.vllm.versions import Versions

if TYPE_CHECKING:
    from flowdpo_pl.model.agents import Agents
    from flowdpo_pl.model.output_head import OutputHead

Servers: TypeAlias = Callable[[], AbstractContextManager[list[Server]]]
"""The servers while they are used; one that was started for this ends afterwards."""


@dataclass(frozen=True)
class _Link:
    fleet: Fleet
    versions: Versions
    end: Callable[[], object]
    """Takes down what was put up; also called when the process ends."""


class Session:
    """What all engines of a run share; connected when it is first needed, and anew after it was closed."""

    def __init__(self, agents: Agents, head: OutputHead, servers: Servers, folder: Path | None) -> None:
        """
        Args:
            agents: who plays.
            head: the base's output layer.
            servers: of the same base.
            folder: where the adapters are written for the servers; None: memory of this machine.
        """
        self._agents = agents
        self._guard = Guard(agents, head)
        self._servers = servers
        self._folder = folder
        self._link: _Link | None = None
        self._plays = False

    @property
    def context_limit(self) -> int:
        """Tokens of prompt and answer together that all servers take.

        Raises:
            UserError: no server is there, or one can't be used.
        """
        return min(self._agents.context_limit, self._linked().fleet.context_limit)

    @property
    def noise(self) -> float:
        """Mean difference of a token's log-probability between the servers and here, where they agree."""
        return self._guard.noise

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.end()

    @contextmanager
    def playing(self) -> Iterator[None]:
        """While the servers hold the agents as they are now, and are seen to do so at its end.

        Raises:
            UserError: no server is there, or one plays something else.
        """
        link = self._linked()
        link.fleet.join(link.versions.admit)
        link.versions.push()
        self._plays = True
        try:
            yield
            link.versions.confirm()
        finally:
            self._plays = False
            link.fleet.forget()

    def play(self, jobs: Sequence[Job]) -> list[Generated]:
        """What the agents write, in the order of the jobs; within `playing`.

        Raises:
            UserError: a prompt leaves no room for its answer, a server refuses one, or none is left.
        """
        if not jobs:
            return []
        assert self._plays, "the servers may hold other weights: play within `playing`"
        link = self._linked()
        for job in jobs:
            _require_room(job, link.fleet.context_limit)
        adapted = [link.versions.name_of(job.agent) is not None for job in jobs]
        answers: dict[int, Generated] = {}
        for kind in (
            True,
            False,
        ):  # vLLM 0.32 on a CPU gives a base's row the adapter of another in its batch
            places = [place for place, own in enumerate(adapted) if own == kind]
            played = link.fleet.play([jobs[place] for place in places], link.versions.name_of)
            answers |= dict(zip(places, played, strict=True))
        return [answers[place] for place in range(len(jobs))]

    def _linked(self) -> _Link:
        if self._link is None:
            with ExitStack() as stack:
                fleet = Fleet(stack.enter_context(self._servers()))
                stack.callback(fleet.close)
                versions = self._versions(fleet, stack)
                stack.callback(versions.close)
                fleet.join(versions.admit)
                self._link = _Link(fleet, versions, weakref.finalize(self, stack.pop_all().close))
        return self._link

    def _versions(self, fleet: Fleet, stack: ExitStack) -> Versions:
        """Rank 0 gives its own to the servers; the others, whose weights are equal, use these."""
        tag = of_first(lambda: secrets.token_hex(4))
        if rank():
            return Awaited(self._agents, fleet, self._guard, tag)
        folder = stack.enter_context(written_for_servers(self._folder))
        return Adapters(self._agents, fleet, self._guard, tag, folder)


def _require_room(job: Job, limit: int) -> None:
    """vLLM itself would write less, and say nothing.

    Raises:
        UserError: names agent, problem and limit.
    """
    needed = len(job.token_ids) + job.params["max_tokens"]
    if needed > limit:
        raise UserError(
            f"agent '{job.agent}' needs {needed} tokens on problem {job.problem_id}, but a vLLM server takes "
            f"{limit}: start it with a larger --max-model-len, or set fewer or shorter chunks."
        )

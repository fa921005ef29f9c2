"""All servers: the requests of a wave go out together, each to the server with the least left to do.

A server that is lost has its requests played by the others, and is asked again before the next batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.vllm.params import Params
from flowdpo_pl.play.engines.vllm.server import AT_ONCE, Facts, Generated, Server, ServerLost
from flowdpo_pl.types import Agent

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One request, before it is known which server plays it."""

    agent: Agent
    problem_id: str
    token_ids: tuple[int, ...]
    params: Params


@dataclass
class Place:
    """A server, and what this process knows of it."""

    server: Server
    facts: Facts | None = None
    """None until it is asked, and again once it is lost."""
    was_lost: bool = False
    base: str = ""
    """What its base is called, also while it is lost."""
    outstanding: int = 0
    """Tokens to read and to write of the requests that it has."""
    read: dict[tuple[Agent, str], int] = field(default_factory=dict)
    """Tokens of an agent's contexts of a problem that its prefix cache holds, by agent and problem."""

    @property
    def live(self) -> bool:
        return self.facts is not None

    def work(self, job: Job) -> int:
        """Tokens that the job takes here: those that are not read yet, and those to be written."""
        known = self.read.get((job.agent, job.problem_id), 0)
        written: int = job.params["max_tokens"]
        return max(1, len(job.token_ids) - known) + written


class Fleet:
    """The servers of a run."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.places = [Place(server) for server in servers]
        self.losses = 0
        """How often a server was lost."""
        self._pool = ThreadPoolExecutor(AT_ONCE * len(servers), thread_name_prefix="vllm")
        self._lock = Lock()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for place in self.places:
            place.server.close()

    @property
    def live(self) -> list[Place]:
        return [place for place in self.places if place.live]

    @property
    def context_limit(self) -> int:
        """Of the server that takes least."""
        return min(place.facts.context_limit for place in self.places if place.facts is not None)

    def join(self, admit: Callable[[Place], None]) -> None:
        """Ask every server that is not there, the first time and after it was lost.

        Args:
            admit: what it is told before it plays; it is not taken where this raises ServerLost, nor taken
                back where it raises UserError.

        Raises:
            UserError: none is there, or one that was never lost can't be used.
        """
        reasons = []
        for place in self.places:
            if place.live:
                continue
            try:
                place.facts = place.server.facts()
                place.base = place.facts.base
                admit(place)
            except ServerLost as lost:
                place.facts = None
                reasons.append(str(lost))
            except UserError as wrong:
                place.facts = None
                if not place.was_lost:  # a mistake in how it was started
                    raise
                reasons.append(str(wrong))
        if not self.live:
            raise UserError(
                f"no vLLM server plays: {'; '.join(reasons)}; see that they run, then go on, "
                "or play on this machine: model.team.engine flowdpo_pl.Native (`ask --engine`)."
            )
        for reason in reasons:
            _LOG.warning("%s; the others play", reason)

    def forget(self) -> None:
        """The trees are done: nothing that is cached is read again."""
        for place in self.places:
            place.read.clear()

    def tell(self, say: Callable[[Server], None]) -> None:
        """Say something to every server that is there; one that gives no answer is lost.

        Raises:
            UserError: none is left.
        """
        for place in self.live:
            try:
                say(place.server)
            except ServerLost as lost:
                self._lose(place, lost)
        self._require_any()

    def answers(
        self, ask: Callable[[Server, str], Generated], names: Sequence[str]
    ) -> list[tuple[Server, str, Generated]]:
        """What every server that is there says to each name; all are asked together.

        Args:
            ask: asks a server of a name.
            names: of adapters.

        Raises:
            UserError: no server is left.
        """
        asked = [
            (place, name, self._pool.submit(ask, place.server, name)) for place in self.live for name in names
        ]
        told = []
        for place, name, future in asked:
            try:
                told.append((place.server, name, future.result()))
            except ServerLost as lost:
                self._lose(place, lost)
        self._require_any()
        return told

    def play(self, jobs: Sequence[Job], name_of: Callable[[Agent], str | None]) -> list[Generated]:
        """What is written for the jobs, in their order.

        Args:
            name_of: what an agent is called on the servers; None: it is the base.

        Raises:
            UserError: a server refuses a job, or none is left.
        """
        futures = [self._pool.submit(self._play, job, *self._given(job), name_of) for job in jobs]
        try:
            return [future.result() for future in futures]
        finally:  # one that failed ends the wave
            for future in futures:
                future.cancel()

    def _play(self, job: Job, place: Place, work: int, name_of: Callable[[Agent], str | None]) -> Generated:
        while True:
            try:
                name = name_of(job.agent) or place.base
                return place.server.generate(name, job.token_ids, job.params)
            except ServerLost as lost:
                self._lose(place, lost)
            finally:
                self._done(job, place, work)
            place, work = self._given(job)

    def _given(self, job: Job) -> tuple[Place, int]:
        """The server whose work is done first with this job, and how much that adds to it."""
        with self._lock:
            self._require_any()
            place = min(self.live, key=lambda place: place.outstanding + place.work(job))
            place.outstanding += (work := place.work(job))
            return place, work

    def _done(self, job: Job, place: Place, work: int) -> None:
        with self._lock:
            place.outstanding = max(0, place.outstanding - work)
            place.read[job.agent, job.problem_id] = len(job.token_ids)

    def _require_any(self) -> None:
        if not self.live:
            raise UserError("no vLLM server is left: see why they ended, start them, and resume the run.")

    def _lose(self, place: Place, lost: ServerLost) -> None:
        with self._lock:
            was_live, place.facts, place.was_lost = place.live, None, True
            self.losses += was_live
            place.outstanding = 0
            place.read.clear()
            left = bool(self.live)
        if was_live:
            _LOG.warning("%s; %s", lost, "the others play on" if left else "no other is left")

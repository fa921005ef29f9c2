"""The native engine: waves of requests as micro-batches that fit in memory, on this process's device.

Draws are functions of (seed, sample, problem, branch, turn, position), so no split, retry or order of rows
changes a move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from flowdpo_pl.draws import Draws
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.output_head import OutputHead
from flowdpo_pl.play.engines.choosing import choice
from flowdpo_pl.play.engines.prefix_cache import Ids
from flowdpo_pl.play.engines.protocol import ChooseRequest, Chosen, WriteRequest, Written, require_numbers
from flowdpo_pl.play.engines.reader import Reader, Row
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.engines.writing import Writing
from flowdpo_pl.types import Agent

Request = TypeVar("Request", WriteRequest, ChooseRequest)
Result = TypeVar("Result", Written, Chosen, None)


class NativeEngine:
    """Plays agents on this process's device."""

    def __init__(
        self,
        agents: Agents,
        head: OutputHead,
        draws: Draws,
        sampling: Sampling,
        token_budget: int,
    ) -> None:
        """`token_budget`: columns times rows that one micro-batch's cache may hold."""
        self.agents = agents
        self.head = head
        self.draws = draws
        self.sampling = sampling
        self.token_budget = token_budget
        self._reader = Reader(agents)

    @contextmanager
    def playing(self) -> Iterator[None]:
        """Each agent's prefixes are read once."""
        try:
            yield
        finally:
            self.reset()

    def reset(self) -> None:
        """Forget every cached prefix."""
        self._reader.forget()

    def write(self, requests: Sequence[WriteRequest]) -> list[Written]:
        """Moves for the requests; see `protocol.WriteRequest`."""
        results: list[Written | None] = [None] * len(requests)
        open_requests = []
        for index, request in enumerate(requests):
            if self._complete(request):
                results[index] = Written(request.forced, 0.0)
            else:
                open_requests.append((index, request))
        for agent, batch in self._plan(
            open_requests, lambda r: (*r.prefix, *r.forced), lambda r: r.max_tokens
        ):
            for part, written in self._within_memory(agent, batch, self._write):
                results[part] = written
        return [result for result in results if result is not None]

    def choose(self, requests: Sequence[ChooseRequest]) -> list[Chosen]:
        """Drawn options for the requests; see `protocol.ChooseRequest`."""
        results: list[Chosen | None] = [None] * len(requests)
        for agent, batch in self._plan(
            list(enumerate(requests)), lambda r: (*r.prefix, *r.suffix), lambda r: 0
        ):
            for part, chosen in self._within_memory(agent, batch, self._choose):
                results[part] = chosen
        return [result for result in results if result is not None]

    def _complete(self, request: WriteRequest) -> bool:
        ended = request.forced[-1:] == self.head.end_ids[:1]
        return ended or len(request.forced) >= request.max_tokens

    def _plan(
        self,
        requests: Sequence[tuple[int, Request]],
        reads: Callable[[Request], tuple[int, ...]],
        room: Callable[[Request], int],
    ) -> Iterator[tuple[Agent, list[tuple[int, Row, Request]]]]:
        """Micro-batches of one agent each, rows that read and hold similarly much together."""
        by_agent: dict[Agent, list[tuple[int, Row, Request]]] = {}
        read = [np.asarray(reads(request), dtype=np.int64) for _, request in requests]
        self._read_ahead([request for _, request in requests], read)
        found = self._reader.rows([request for _, request in requests], read)
        for (index, request), row in zip(requests, found, strict=True):
            by_agent.setdefault(request.agent, []).append((index, row, request))
        for agent, rows in by_agent.items():
            rows.sort(key=lambda entry: (entry[1].unread.bit_length(), len(entry[1].token_ids)), reverse=True)
            start = 0
            while start < len(rows):
                stop, columns = start, 0
                while stop < len(rows):
                    columns = max(columns, len(rows[stop][1].token_ids) + room(rows[stop][2]))
                    if stop > start and columns * (stop + 1 - start) > self.token_budget:
                        break
                    stop += 1
                yield agent, rows[start:stop]
                start = stop

    def _read_ahead(self, requests: Sequence[Request], read: Sequence[Ids]) -> None:
        """Read once what several paths of a new problem begin with."""
        shared = self._reader.shared(requests, read)
        if shared:
            for agent, batch in self._plan(list(enumerate(shared)), lambda r: r.prefix, lambda r: 0):
                for _ in self._within_memory(agent, batch, self._read):
                    pass

    def _within_memory(
        self,
        agent: Agent,
        batch: list[tuple[int, Row, Request]],
        play: Callable[[Agent, list[Request], list[Row]], list[Result]],
    ) -> Iterator[tuple[int, Result]]:
        """Play a micro-batch, in halves where memory runs out; yields (index of the request, result)."""
        results: list[Result] | None = None
        try:
            results = play(agent, [request for _, _, request in batch], [row for _, row, _ in batch])
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
        if results is not None:
            yield from zip((index for index, _, _ in batch), results, strict=True)
            return
        # not in the handler, where the traceback keeps all that the failed try had allocated
        for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
            yield from self._within_memory(agent, half, play)

    def _read(self, agent: Agent, requests: list[WriteRequest], rows: list[Row]) -> list[None]:
        with self.agents.decoding_as(agent):
            workspace, _ = self._reader.read(rows, room=0)
        for index, (request, row) in enumerate(zip(requests, rows, strict=True)):
            self._reader.remember(request, row, row.token_ids, workspace, index)
        return [None] * len(rows)

    def _write(self, agent: Agent, requests: list[WriteRequest], rows: list[Row]) -> list[Written]:
        keys = self._keys(requests)
        writing = Writing(self._reader, self.head, self.sampling, requests, rows, keys)
        return writing.run(self._partings(requests))

    def _choose(self, agent: Agent, requests: list[ChooseRequest], rows: list[Row]) -> list[Chosen]:
        with self.agents.decoding_as(agent):
            workspace, hidden = self._reader.read(rows, room=0)
            options = torch.tensor([request.options for request in requests], device=hidden.device)
            scores = self.head.option_logits(hidden, options)
            all_ = scores.logsumexp(-1)
            mass = (all_ - self.head.logits(hidden).logsumexp(-1)).exp().tolist()
            logprobs = (scores - all_[:, None]).double().cpu().numpy()
        for index, (request, row) in enumerate(zip(requests, rows, strict=True)):
            self._reader.remember(request, row, np.asarray(request.prefix), workspace, index)
        chosen = []
        for index, key in enumerate(self._keys(requests)):
            require_numbers(requests[index], (*logprobs[index], mass[index]))
            further = requests[index].further
            chosen.append(choice(logprobs[index], mass[index], key, self.sampling.temperature, further))
        return chosen

    def _partings(self, requests: Sequence[WriteRequest]) -> list[list[float]]:
        """Of each request's further alternatives, the number that says where each leaves the move."""
        return [
            [
                self.draws.of_sample(r.sample).uniform(r.problem_id, r.branch, r.turn, "further", number)
                for number in range(r.further)
            ]
            for r in requests
        ]

    def _keys(self, requests: Sequence[WriteRequest] | Sequence[ChooseRequest]) -> list[int]:
        return [self.draws.of_sample(r.sample).key(r.problem_id, r.branch, r.turn) for r in requests]


@dataclass(frozen=True)
class OpenNative:
    """The native engine before it knows its draws; see `engine_settings.OpenEngine`."""

    agents: Agents
    head: OutputHead
    decode_tokens: int

    @property
    def context_limit(self) -> int:
        return self.agents.context_limit

    @property
    def tolerance(self) -> None:
        """It plays the weights that learn."""

    def engine(self, draws: Draws, sampling: Sampling) -> NativeEngine:
        return NativeEngine(self.agents, self.head, draws, sampling, self.decode_tokens)

    def close(self) -> None:
        """Nothing is held elsewhere."""

"""The native engine: a decode loop of our own on transformers' models, with a prefix cache per agent.

Waves are split into micro-batches by a token budget. Draws are functions of (seed, problem, branch,
turn, position), so no split, retry or order of rows changes a move.

Shapes: B rows (requests of a micro-batch), N new tokens, T tokens written at most, E hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowdpo_pl.draws import Draws, uniforms
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.output_head import OutputHead
from flowdpo_pl.play.engines.prefix_cache import COMMON, Ids, PrefixCache, Stored, common_prefix
from flowdpo_pl.play.engines.protocol import ChooseRequest, Chosen, WriteRequest, Written
from flowdpo_pl.play.engines.sampling import Drawn, Sampling, draw
from flowdpo_pl.play.engines.workspace import Workspace
from flowdpo_pl.types import Agent

Request = TypeVar("Request", WriteRequest, ChooseRequest)
Result = TypeVar("Result", Written, Chosen)
Floats = NDArray[np.float64] | NDArray[np.float32]

_STEPS_BETWEEN_LOOKS = 16
_TOKENS_PER_FORWARD = 128  # read in the time that a further forward costs
_RETIRE_SHARE = 8  # finished rows leave once they are an eighth of the batch


@dataclass(frozen=True)
class _Row:
    """A request with what the cache knows of it."""

    token_ids: Ids
    """All that is read before the first new token."""
    stored: Stored | None
    cached: int
    """Leading tokens whose states are stored (at least one token is always read anew)."""

    @property
    def unread(self) -> int:
        return len(self.token_ids) - self.cached


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
        self._cache = PrefixCache()

    def reset(self) -> None:
        self._cache.clear()

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
    ) -> Iterator[tuple[Agent, list[tuple[int, _Row, Request]]]]:
        """Micro-batches of one agent each, rows that read and hold similarly much together."""
        by_agent: dict[Agent, list[tuple[int, _Row, Request]]] = {}
        read = [np.asarray(reads(request), dtype=np.int64) for _, request in requests]
        self._read_common([request for _, request in requests], read)
        for (index, request), token_ids in zip(requests, read, strict=True):
            stored, shared = self._cache.longest(request.agent, request.problem_id, token_ids)
            row = _Row(token_ids, stored, min(shared, len(token_ids) - 1))
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

    def _read_common(self, requests: Sequence[Request], read: Sequence[Ids]) -> None:
        """Read once how all new problems of an agent begin: the system prompt, worked examples."""
        for agent in {request.agent for request in requests}:
            new = {
                request.problem_id: token_ids[:-1]  # the last token is always read anew
                for request, token_ids in zip(requests, read, strict=True)
                if request.agent == agent and not self._cache.knows(agent, request.problem_id)
            }
            if len(new) < 2:
                continue
            first, *others = new.values()
            common = first[: min(common_prefix(first, other) for other in others)]
            _, known = self._cache.longest(agent, COMMON, common)
            if (len(common) - known) * len(others) > _TOKENS_PER_FORWARD:
                with self.agents.decoding_as(agent):
                    workspace, _ = self.read([_Row(common, None, 0)], room=0)
                self._cache.store(
                    agent, COMMON, "", Stored(common, 0, *workspace.states(0, 0, len(common)), None)
                )

    def _within_memory(
        self,
        agent: Agent,
        batch: list[tuple[int, _Row, Request]],
        play: Callable[[Agent, list[Request], list[_Row]], list[Result]],
    ) -> Iterator[tuple[int, Result]]:
        """Play a micro-batch, in halves where memory runs out; yields (index of the request, result)."""
        try:
            results = play(agent, [request for _, _, request in batch], [row for _, row, _ in batch])
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
                yield from self._within_memory(agent, half, play)
        else:
            yield from zip((index for index, _, _ in batch), results, strict=True)

    def _write(self, agent: Agent, requests: list[WriteRequest], rows: list[_Row]) -> list[Written]:
        return _Writing(self, agent, requests, rows).run()

    def _choose(self, agent: Agent, requests: list[ChooseRequest], rows: list[_Row]) -> list[Chosen]:
        with self.agents.decoding_as(agent):
            workspace, hidden = self.read(rows, room=0)
            options = torch.tensor([request.options for request in requests], device=hidden.device)
            scores = self.head.option_logits(hidden, options)
            both = scores.logsumexp(-1)
            mass = (both - self.head.logits(hidden).logsumexp(-1)).exp().tolist()
            logprobs = (scores - both[:, None]).double().cpu().numpy()
        for index, (request, row) in enumerate(zip(requests, rows, strict=True)):
            self.store(request, row, np.asarray(request.prefix), workspace, index)
        chosen = []
        for index, request in enumerate(requests):
            option = self._option(logprobs[index], self.draw_keys([request])[0])
            chosen.append(Chosen(option, self._played_logprob(logprobs[index], option), mass[index]))
        return chosen

    def _option(self, logprobs: Floats, key: int) -> int:
        if self.sampling.temperature == 0:
            return int(logprobs.argmax())
        tempered = np.exp(logprobs / self.sampling.temperature)
        return int(uniforms([key], 1)[0, 0] * tempered.sum() >= tempered[0])

    def _played_logprob(self, logprobs: Floats, option: int) -> float:
        if self.sampling.temperature == 0:
            return 0.0
        tempered = logprobs / self.sampling.temperature
        return float(tempered[option] - np.logaddexp(*tempered))

    def read(self, rows: Sequence[_Row], room: int) -> tuple[Workspace, Tensor]:
        """Load what is cached, read the rest; the workspace and the last hidden states `[B, E]`.

        Every row's block is its last n tokens, n the most that any row of its part has left to read:
        rows with less unread compute a few tokens again instead of padding.
        """
        lengths = [len(row.token_ids) for row in rows]
        workspace = Workspace(self.agents.config, lengths, room, self.agents.dtype, self.agents.device)
        for index, row in enumerate(rows):
            if row.stored is not None:
                workspace.load(index, row.stored, row.cached)
        hidden = []
        for part in reading_parts([row.unread for row in rows]):
            block = max(row.unread for row in rows[part])
            tokens = np.zeros((len(rows[part]), block), dtype=np.int64)
            for line, row in zip(tokens, rows[part], strict=True):
                last = row.token_ids[-block:]
                line[block - len(last) :] = last
            workspace.begin(block, part)
            hidden.append(self.forward(workspace, torch.from_numpy(tokens).to(self.agents.device)))
        return workspace, torch.cat(hidden)

    def forward(self, workspace: Workspace, token_ids: Tensor) -> Tensor:
        """Last hidden states `[B, E]` of the new tokens `[B, N]`."""
        return self.agents.hidden(token_ids, workspace.positions(), workspace)[:, -1]

    def store(
        self,
        request: WriteRequest | ChooseRequest,
        row: _Row,
        token_ids: Ids,
        workspace: Workspace,
        index: int,
    ) -> None:
        """Remember the states of `token_ids`, sharing what the row already shared."""
        start = min(row.cached, len(token_ids))
        stored = Stored(token_ids, start, *workspace.states(index, start, len(token_ids)), row.stored)
        self._cache.store(request.agent, request.problem_id, request.branch, stored)

    def draw_keys(self, requests: Sequence[WriteRequest] | Sequence[ChooseRequest]) -> list[int]:
        return [self.draws.key(r.problem_id, r.branch, r.turn) for r in requests]


class _Writing:
    """The decode loop of one micro-batch; what it collects is `[B, T]`."""

    def __init__(
        self, engine: NativeEngine, agent: Agent, requests: Sequence[WriteRequest], rows: Sequence[_Row]
    ) -> None:
        self._engine = engine
        self._agent = agent
        self._requests = requests
        self._rows = rows
        device = engine.agents.device
        limits = [request.max_tokens - len(request.forced) for request in requests]
        self._limits = torch.tensor(limits, device=device)
        table = uniforms(engine.draw_keys(requests), 2 * max(request.max_tokens for request in requests) + 1)
        self._split_uniforms = table[:, -1]
        steps = np.zeros((len(requests), max(limits), 2))
        for row, (request, limit) in enumerate(zip(requests, limits, strict=True)):
            first = 2 * len(request.forced)  # draws belong to positions in the move, forced ones included
            steps[row, :limit] = table[row, first : first + 2 * limit].reshape(limit, 2)
        self._uniforms = torch.from_numpy(steps).to(device)
        shape = (len(requests), max(limits))
        self._drawn = Drawn(
            tokens=torch.zeros(shape, dtype=torch.long, device=device),
            logprobs=torch.zeros(shape, device=device),
            runners_up=torch.zeros(shape, dtype=torch.long, device=device),
            log_others=torch.zeros(shape, device=device),
        )
        self._lengths = torch.zeros(len(requests), dtype=torch.long, device=device)
        self._active = torch.arange(len(requests), device=device)

    def run(self) -> list[Written]:
        with self._engine.agents.decoding_as(self._agent):
            self._decode()
        columns = [getattr(self._drawn, field.name).cpu().numpy() for field in fields(Drawn)]
        lengths = self._lengths.tolist()
        return [
            self._written(row, *(column[row, : lengths[row]] for column in columns))
            for row in range(len(self._requests))
        ]

    def _decode(self) -> None:
        engine = self._engine
        end = engine.head.end_ids[0]
        workspace, hidden = engine.read(self._rows, room=self._uniforms.shape[1])
        fresh = torch.tensor([not request.forced for request in self._requests], device=hidden.device)
        for step in range(self._uniforms.shape[1]):
            logits = engine.head.merged(engine.head.logits(hidden))
            if step == 0:  # no chunk begins with the end token
                logits[:, end].masked_fill_(fresh, float("-inf"))
            drawn = draw(logits, self._uniforms[self._active, step], engine.sampling)
            for field in fields(Drawn):
                getattr(self._drawn, field.name)[self._active, step] = getattr(drawn, field.name)
            over = (drawn.tokens == end) | (self._limits[self._active] == step + 1)
            lengths = self._lengths[self._active]
            self._lengths[self._active] = torch.where(over & (lengths == 0), step + 1, lengths)
            tokens = drawn.tokens
            if self._looks(step):
                left = self._retire(workspace)
                if not len(left):
                    return
                tokens = tokens[left]
            workspace.advance()
            hidden = engine.forward(workspace, tokens[:, None])

    def _looks(self, step: int) -> bool:
        """Whether to ask which rows are over: on a GPU asking waits for it, so only now and then."""
        every = 1 if self._active.device.type == "cpu" else _STEPS_BETWEEN_LOOKS
        return (step + 1) % every == 0 or step + 1 == self._uniforms.shape[1]

    def _retire(self, workspace: Workspace) -> Tensor:
        """Take finished rows out of the batch once they are many enough to be worth a copy; who is left."""
        over = self._lengths[self._active] > 0
        finished = int(over.sum())
        everyone = torch.arange(len(over), device=over.device)
        if finished < len(over) and finished * _RETIRE_SHARE < len(over):
            return everyone
        for row in over.nonzero().squeeze(1).tolist():
            self._remember(int(self._active[row]), row, workspace)
        left = everyone[~over]
        self._active = self._active[left]
        if len(left):
            workspace.keep(left)
        return left

    def _remember(self, index: int, row: int, workspace: Workspace) -> None:
        """Store what a finished row has read: all but its last token."""
        read = self._drawn.tokens[index, : int(self._lengths[index]) - 1].cpu().numpy()
        known = np.concatenate([self._rows[index].token_ids, read])
        self._engine.store(self._requests[index], self._rows[index], known, workspace, row)

    def _written(
        self, row: int, tokens: Ids, logprobs: Floats, runners_up: Ids, log_others: Floats
    ) -> Written:
        request = self._requests[row]
        other = None
        if request.alternative:
            split = alternative_split(logprobs, log_others, float(self._split_uniforms[row]))
            if split is not None:
                other = (*tokens[:split].tolist(), int(runners_up[split]))
        moved = (*request.forced, *tokens.tolist())
        return Written(moved, float(logprobs.sum(dtype=np.float64)), other)


def reading_parts(unread: Sequence[int]) -> list[slice]:
    """Cuts rows into parts that are read together, at least work in all: a part costs its rows times its
    longest, and a forward of its own costs as much as reading some tokens more.
    """
    best = [(0, 0)]  # for the first n rows: least cost, and where their last part begins
    for stop in range(1, len(unread) + 1):
        longest, options = 0, []
        for start in reversed(range(stop)):
            longest = max(longest, unread[start])
            options.append((best[start][0] + longest * (stop - start) + _TOKENS_PER_FORWARD, start))
        best.append(min(options))
    parts, stop = [], len(unread)
    while stop:
        start = best[stop][1]
        parts.append(slice(start, stop))
        stop = start
    return parts[::-1]


def alternative_split(logprobs: Floats, log_others: Floats, uniform: float) -> int | None:
    """Where the alternative leaves the move, or None if it can't: DESIGN's exact law without rejection.

    The alternative parts from the move at token i with weight c_i * p_1 ... p_(i-1), where p_i is the
    probability of the move's token and c_i that of all others; the weights sum to P(another move).
    """
    before = np.concatenate([[0.0], np.cumsum(logprobs[:-1], dtype=np.float64)])
    weights = log_others.astype(np.float64) + before
    if not np.isfinite(weights.max()):
        return None
    cumulative = np.cumsum(np.exp(weights - weights.max()))
    split = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
    return int(min(split, np.flatnonzero(np.isfinite(weights))[-1]))

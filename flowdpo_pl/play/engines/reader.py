"""What rows of a micro-batch read before their first new token: from the prefix cache as far as it goes.

Shapes: B rows, N new tokens, E hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from flowdpo_pl.model.agents import Agents
from flowdpo_pl.play.engines.prefix_cache import COMMON, Ids, PrefixCache, Stored, common_prefix
from flowdpo_pl.play.engines.protocol import ChooseRequest, WriteRequest
from flowdpo_pl.play.engines.workspace import Workspace
from flowdpo_pl.types import Agent

Request: TypeAlias = WriteRequest | ChooseRequest

_TOKENS_PER_FORWARD = 128  # read in the time that a further forward costs


@dataclass(frozen=True)
class Row:
    """A request with what the cache knows of it."""

    token_ids: Ids
    """All that is read before the first new token."""
    stored: Stored | None
    cached: int
    """Leading tokens whose states are stored (at least one token is always read anew)."""

    @property
    def unread(self) -> int:
        return len(self.token_ids) - self.cached


class Reader:
    """Reads for whoever decodes, and remembers what was read."""

    def __init__(self, agents: Agents) -> None:
        self.agents = agents
        self._cache = PrefixCache()

    def forget(self) -> None:
        """Empty the cache: the weights change."""
        self._cache.clear()

    def shared(self, requests: Sequence[Request], read: Sequence[Ids]) -> list[WriteRequest]:
        """What several of these requests, of one problem of which the agent has read nothing, begin with: a
        request of no token for each problem; none where reading it apart is not worth a forward.
        """
        by_agent: dict[Agent, dict[str, list[Ids]]] = {}
        for request, token_ids in zip(requests, read, strict=True):
            if not self._cache.knows(request.agent, request.problem_id):
                of_problem = by_agent.setdefault(request.agent, {}).setdefault(request.problem_id, [])
                of_problem.append(token_ids[:-1])  # the last token is always read anew
        found: list[WriteRequest] = []
        for agent, together in by_agent.items():
            same = {problem: _common(paths) for problem, paths in together.items() if len(paths) > 1}
            known = len(_common([paths[0] for paths in together.values()])) if len(together) > 1 else 0
            saved = sum((len(ids) - known) * (len(together[problem]) - 1) for problem, ids in same.items())
            if saved > _TOKENS_PER_FORWARD:
                found += [
                    WriteRequest(agent, problem, "beginning", 0, tuple(ids.tolist()), max_tokens=0)
                    for problem, ids in same.items()
                ]
        return found

    def rows(self, requests: Sequence[Request], read: Sequence[Ids]) -> list[Row]:
        """Each request, which reads these tokens, with what is remembered of them."""
        self._read_common(requests, read)
        rows = []
        for request, token_ids in zip(requests, read, strict=True):
            stored, shared = self._cache.longest(request.agent, request.problem_id, token_ids)
            rows.append(Row(token_ids, stored, min(shared, len(token_ids) - 1)))
        return rows

    def read(self, rows: Sequence[Row], room: int) -> tuple[Workspace, Tensor]:
        """Load what is cached, read the rest; the workspace and the last hidden states `[B, E]`.

        Every row's block is its last n tokens, n the most that any row of its part has left to read:
        rows with less unread compute a few tokens again instead of padding.
        """
        lengths = [len(row.token_ids) for row in rows]
        workspace = Workspace(self.agents.caches, lengths, room, self.agents.dtype, self.agents.device)
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

    def remember(
        self,
        request: Request,
        row: Row,
        token_ids: Ids,
        workspace: Workspace,
        index: int,
    ) -> None:
        """Remember the states of `token_ids`, sharing what the row already shared."""
        start = min(row.cached, len(token_ids))
        stored = Stored(token_ids, start, *workspace.states(index, start, len(token_ids)), row.stored)
        self._cache.store(request.agent, request.problem_id, (request.sample, request.branch), stored)

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
            common = _common([*new.values()])
            _, known = self._cache.longest(agent, COMMON, common)
            if (len(common) - known) * (len(new) - 1) > _TOKENS_PER_FORWARD:
                with self.agents.decoding_as(agent):
                    workspace, _ = self.read([Row(common, None, 0)], room=0)
                self._cache.store(
                    agent, COMMON, COMMON, Stored(common, 0, *workspace.states(0, 0, len(common)), None)
                )


def _common(sequences: Sequence[Ids]) -> Ids:
    """What all of them begin with."""
    first, *others = sequences
    return first[: min((common_prefix(first, other) for other in others), default=len(first))]


def reading_parts(unread: Sequence[int]) -> list[slice]:
    """Cuts rows into parts that are read together, at least work in all: a part costs its rows times its
    longest, and a forward of its own costs as much as reading some tokens more.
    """
    starts = np.arange(len(unread))
    least, begins = np.zeros((2, len(unread) + 1), dtype=np.int64)  # the first n rows' cost, their last part
    longest = np.zeros(len(unread), dtype=np.int64)  # from each row to the last one looked at
    for stop, tokens in enumerate(unread, 1):
        np.maximum(longest[:stop], tokens, out=longest[:stop])
        costs = least[:stop] + longest[:stop] * (stop - starts[:stop]) + _TOKENS_PER_FORWARD
        begins[stop] = costs.argmin()
        least[stop] = costs[begins[stop]]
    parts, stop = [], len(unread)
    while stop:
        start = int(begins[stop])
        parts.append(slice(start, stop))
        stop = start
    return parts[::-1]

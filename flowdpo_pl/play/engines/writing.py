"""The decode loop: the moves of one micro-batch of requests of one agent, token by token.

Shapes: B rows (requests), T tokens written at most, E hidden size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowdpo_pl.draws import uniforms
from flowdpo_pl.model.output_head import OutputHead
from flowdpo_pl.play.engines.prefix_cache import Ids
from flowdpo_pl.play.engines.protocol import Beginning, WriteRequest, Written, require_numbers
from flowdpo_pl.play.engines.reader import Reader, Row
from flowdpo_pl.play.engines.sampling import Drawn, Sampling, draw
from flowdpo_pl.play.engines.workspace import Workspace

Floats: TypeAlias = NDArray[np.float64] | NDArray[np.float32]

_STEPS_BETWEEN_LOOKS = 16
_RETIRE_SHARE = 8  # finished rows leave once they are an eighth of the batch


class Writing:
    """The decode loop of one micro-batch; what it collects is `[B, T]`."""

    def __init__(
        self,
        reader: Reader,
        head: OutputHead,
        sampling: Sampling,
        requests: Sequence[WriteRequest],
        rows: Sequence[Row],
        keys: Sequence[int],
    ) -> None:
        """`keys`: of each request's draws."""
        self._reader = reader
        self._head = head
        self._sampling = sampling
        self._requests = requests
        self._rows = rows
        device = reader.agents.device
        limits = [request.max_tokens - len(request.forced) for request in requests]
        self._limits = torch.tensor(limits, device=device)
        table = uniforms(list(keys), 2 * max(request.max_tokens for request in requests) + 1)
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
            runner_up_logprobs=torch.zeros(shape, device=device),
            log_others=torch.zeros(shape, device=device),
        )
        self._lengths = torch.zeros(len(requests), dtype=torch.long, device=device)
        self._active = torch.arange(len(requests), device=device)

    def run(self, partings: Sequence[Sequence[float]] = ()) -> list[Written]:
        """The moves; `partings`: of each request's further alternatives, a number in (0, 1) that draws where
        it leaves the move.
        """
        further = partings or [()] * len(self._requests)
        with self._reader.agents.decoding_as(self._requests[0].agent):
            self._decode()
        columns = [getattr(self._drawn, field.name).cpu().numpy() for field in fields(Drawn)]
        lengths = self._lengths.tolist()
        return [
            self._written(row, further[row], *(column[row, : lengths[row]] for column in columns))
            for row in range(len(self._requests))
        ]

    def _decode(self) -> None:
        end = self._head.end_ids[0]
        workspace, hidden = self._reader.read(self._rows, room=self._uniforms.shape[1])
        fresh = torch.tensor([not request.forced for request in self._requests], device=hidden.device)
        for step in range(self._uniforms.shape[1]):
            logits = self._head.merged(self._head.logits(hidden))
            if step == 0:  # no chunk begins with the end token
                logits[:, end].masked_fill_(fresh, float("-inf"))
                for row, request in enumerate(self._requests):
                    if request.avoid is not None:
                        logits[row, request.avoid] = float("-inf")
            drawn = draw(logits, self._uniforms[self._active, step], self._sampling)
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
            hidden = self._reader.forward(workspace, tokens[:, None])

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
        self._reader.remember(self._requests[index], self._rows[index], known, workspace, row)

    def _written(
        self,
        row: int,
        partings: Sequence[float],
        tokens: Ids,
        logprobs: Floats,
        runners_up: Ids,
        runner_up_logprobs: Floats,
        log_others: Floats,
    ) -> Written:
        request = self._requests[row]
        require_numbers(request, logprobs)
        other, other_logprob, further = None, math.nan, []
        if request.alternative:
            split = alternative_split(logprobs, log_others, float(self._split_uniforms[row]))
            if split is not None:
                other = (*tokens[:split].tolist(), int(runners_up[split]))
                before = float(logprobs[:split].sum(dtype=np.float64))
                other_logprob = before + float(runner_up_logprobs[split])
                for uniform in partings:
                    place = alternative_split(logprobs, log_others, uniform)
                    assert place is not None
                    shared = float(logprobs[:place].sum(dtype=np.float64)) + float(log_others[place])
                    further.append(Beginning(tuple(tokens[:place].tolist()), int(tokens[place]), shared))
        moved = (*request.forced, *tokens.tolist())
        logprob = float(logprobs.sum(dtype=np.float64))
        return Written(moved, logprob, other, other_logprob, tuple(further))


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

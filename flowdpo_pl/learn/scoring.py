"""Scores packed trees: log-probabilities of every move from one forward of a micro-batch.

Shapes: B trees, T packed tokens, S scored tokens, M moves, E hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flowdpo_pl.learn.packing import PackedTree
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.attention import TreeView
from flowdpo_pl.model.dropout import salted
from flowdpo_pl.model.output_head import OutputHead, token_logprobs
from flowdpo_pl.model.widened import wide_dtype


@dataclass(frozen=True)
class MicroBatch:
    """Packed trees of one agent as tensors, padded to the longest."""

    trees: tuple[PackedTree, ...]
    token_ids: Tensor
    """[B, T]"""
    positions: Tensor
    """[B, T]"""
    segments: Tensor
    """[B, T]; -1 on padding."""
    attached: Tensor
    """[B, T]"""
    keys: Tensor
    """[B, T] int64, of each token in an update: what dropout goes by."""
    sources: Tensor
    """[S] index into the flattened hidden states."""
    targets: Tensor
    """[S]"""
    choices: Tensor
    """[C] which of the S scored tokens are choices; the others are drawn from the whole vocabulary."""
    options: Tensor
    """[C, k] the token ids of their words."""
    summed: Tensor
    """[N] indices into the S scored tokens, move after move."""
    owner: Tensor
    """[N] which of the M moves each belongs to."""
    moves: int
    """M, lesson after lesson; two a pair: chosen 2i, rejected 2i + 1."""
    played: Tensor
    """[M] log-probabilities that they were played with, float64; NaN: nobody said."""

    @staticmethod
    def of(trees: Sequence[PackedTree], device: torch.device, salt: int = 0) -> MicroBatch:
        """`salt`: the update's own part of each token's key, 64 bits."""
        length = max(len(tree) for tree in trees)
        sources: list[int] = []
        targets: list[int] = []
        options: list[tuple[int, ...]] = []
        summed: list[int] = []
        owner: list[int] = []
        moves = 0
        for row, tree in enumerate(trees):
            for move in tree.moves:
                summed.extend(len(sources) + index for index in move)
                owner.extend([moves] * len(move))
                moves += 1
            sources.extend(row * length + source for source, _ in tree.scored)
            targets.extend(target for _, target in tree.scored)
            options.extend(tree.options)

        choices = [index for index, of_token in enumerate(options) if of_token]

        def rows(values: list[tuple[int, ...]], fill: int) -> Tensor:
            return torch.tensor([v + (fill,) * (length - len(v)) for v in values], device=device)

        return MicroBatch(
            trees=tuple(trees),
            token_ids=rows([tree.token_ids for tree in trees], 0),
            positions=rows([tree.positions for tree in trees], 0),
            segments=rows([tree.segments for tree in trees], -1),
            attached=rows([tree.attached for tree in trees], 0),
            keys=salted(rows([tree.keys for tree in trees], 0), salt),
            sources=torch.tensor(sources, device=device),
            targets=torch.tensor(targets, device=device),
            choices=torch.tensor(choices, dtype=torch.long, device=device),
            options=torch.tensor([options[index] for index in choices], dtype=torch.long, device=device),
            summed=torch.tensor(summed, device=device),
            owner=torch.tensor(owner, device=device),
            moves=moves,
            played=torch.tensor([one for tree in trees for one in tree.played], dtype=torch.float64),
        )

    @property
    def lengths(self) -> Tensor:
        """[M] tokens of each move, float."""
        return self.owner.bincount(minlength=self.moves).float()


def micro_batches(
    trees: Sequence[PackedTree], token_budget: int, device: torch.device, salt: int = 0
) -> Iterator[MicroBatch]:
    """Trees of similar length together, at most `token_budget` padded tokens each (one tree at least)."""
    ordered = sorted(trees, key=len, reverse=True)
    start = 0
    while start < len(ordered):
        size = max(1, token_budget // len(ordered[start]))
        yield MicroBatch.of(ordered[start : start + size], device, salt)
        start += size


def move_logprobs(agents: Agents, batch: MicroBatch, head: OutputHead) -> Tensor:
    """Log-probability `[M]` of every move, for whoever acts; a softmax over its words for a choice."""
    scored = scored_states(agents, batch)
    count, chosen = len(batch.targets), len(batch.choices)
    if not chosen:
        logprobs = token_logprobs(scored, batch.targets, head)
    elif chosen == count:
        logprobs = _choice_logprobs(scored, batch, head)
    else:  # an agent that does both
        written = torch.ones(count, dtype=torch.bool, device=scored.device)
        written[batch.choices] = False
        logprobs = torch.empty(count, dtype=wide_dtype(scored.dtype), device=scored.device)
        logprobs = logprobs.masked_scatter(
            written, token_logprobs(scored[written], batch.targets[written], head)
        )
        logprobs = logprobs.masked_scatter(~written, _choice_logprobs(scored[~written], batch, head))
    return logprobs.new_zeros(batch.moves).index_add(0, batch.owner, logprobs[batch.summed])


def scored_states(agents: Agents, batch: MicroBatch) -> Tensor:
    """Hidden states [S, E] that predict the scored tokens, for whoever acts."""
    view = TreeView(batch.positions, batch.segments, batch.attached)
    return agents.hidden(batch.token_ids, batch.positions, view).flatten(0, 1)[batch.sources]


def _choice_logprobs(scored: Tensor, batch: MicroBatch, head: OutputHead) -> Tensor:
    """[C] of the hidden states of choices."""
    logprobs = head.option_logits(scored, batch.options).log_softmax(-1)
    return logprobs[batch.options == batch.targets[batch.choices][:, None]]

"""Draws tokens by inverse transform from given uniforms, without sorting the vocabulary.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flowdpo_pl.errors import Range, UserError, require_within

_LEAST = 1e-6  # about the distance of two neighbouring float32 logits: below it only ties are left to draw
_FAR = -70.0  # log-probability below which float32 weights lose digits (they end at -103)
_BLOCK = 256  # tokens summed at once: the cumulative sum runs over V / 256 blocks, then inside one


@dataclass(frozen=True)
class Sampling:
    """The distribution that agents play from. Losses always see temperature 1 and no top-p."""

    temperature: float = 1.0
    """0 is greedy: then no node has an alternative. Otherwise at least 1e-6, what float32 can tell apart."""
    top_p: float = 1.0
    """Mass of the smallest set of tokens drawn from; 1.0 for all."""

    def __post_init__(self) -> None:
        if self.temperature != 0 and self.temperature not in (allowed := Range(_LEAST)):
            raise UserError(f"temperature is {self.temperature}: give 0 (greedy) or {allowed}.")
        require_within(Range(_LEAST, 1), {"top_p": self.top_p})


@dataclass(frozen=True)
class Drawn:
    """One token for each row, and what an alternative at this position would be."""

    tokens: Tensor
    """[B] drawn from q."""
    logprobs: Tensor
    """[B] log q(token), float32."""
    runners_up: Tensor
    """[B] drawn from q given that it is not the token."""
    runner_up_logprobs: Tensor
    """[B] log q(runner-up), float32."""
    log_others: Tensor
    """[B] log of the sum of q over the other tokens (never 1 - p); -inf where nothing else is left."""


def draw(logits: Tensor, uniforms: Tensor, sampling: Sampling) -> Drawn:
    """Draw from float32 logits `[B, V]` (may be overwritten) with two uniforms a row `[B, 2]`, float64.

    Where a row's logits are NaN or infinite (but for -inf, impossible tokens), so is its log-probability.
    """
    if sampling.temperature == 0:
        tokens = logits.argmax(-1)
        highest = logits.gather(1, tokens[:, None]).squeeze(1)
        zeros = highest - highest  # NaN where it is not finite
        return Drawn(tokens, zeros, tokens, zeros - torch.inf, zeros - torch.inf)
    if sampling.temperature != 1:
        logits -= logits.amax(-1, keepdim=True)  # before the quotient grows: large numbers lie far apart
        logits /= sampling.temperature
    weights = logits.softmax(-1)
    if sampling.top_p < 1:
        weights = _nucleus(weights, sampling.top_p)
    sums = _block_sums(weights)
    tokens = _pick(weights, sums, uniforms[:, 0])
    own = weights.gather(1, tokens[:, None])
    total = sums.sum(-1)
    weights.scatter_(1, tokens[:, None], 0.0)
    block = (tokens // _BLOCK)[:, None]
    sums.scatter_(
        1, block, _blocks(weights).gather(1, block[:, :, None].expand(-1, -1, _BLOCK)).sum(-1).double()
    )
    others = sums.sum(-1)
    runners_up = _pick(weights, sums, uniforms[:, 1])
    drawn = Drawn(
        tokens=tokens,
        logprobs=(own.squeeze(1).double() / total).log().float(),
        runners_up=runners_up,
        runner_up_logprobs=(weights.gather(1, runners_up[:, None]).squeeze(1).double() / total).log().float(),
        log_others=(others / total).log().float(),
    )
    if sampling.temperature < 1 and sampling.top_p == 1:
        return _with_far_others(drawn, logits, uniforms)
    return drawn


def law(logits: Tensor, sampling: Sampling) -> Tensor:
    """Log-probabilities `[B, V]` that `draw` draws from, of float32 logits; not of greedy play."""
    if sampling.top_p == 1:
        return (logits / sampling.temperature).log_softmax(-1)
    weights = _nucleus((logits / sampling.temperature).softmax(-1), sampling.top_p)
    return (weights / weights.sum(-1, keepdim=True)).log()


def _with_far_others(drawn: Drawn, logits: Tensor, uniforms: Tensor) -> Drawn:
    """The same, with another token also where all others are less likely than float32 can say.

    At low temperatures that is common: their probabilities are then taken relative to one another.
    """
    all_ = logits.logsumexp(-1)
    logits.scatter_(1, drawn.tokens[:, None], -torch.inf)
    weights = logits.softmax(-1).nan_to_num(0.0)  # no other token: all are -inf
    log_others = logits.logsumexp(-1) - all_
    runners_up = _pick(weights, _block_sums(weights), uniforms[:, 1])
    runner_up_logprobs = logits.gather(1, runners_up[:, None]).squeeze(1) - all_
    far = drawn.log_others < _FAR
    return replace(
        drawn,
        runners_up=torch.where(far, runners_up, drawn.runners_up),
        runner_up_logprobs=torch.where(far, runner_up_logprobs, drawn.runner_up_logprobs),
        log_others=torch.where(far, log_others, drawn.log_others),
    )


def _blocks(weights: Tensor) -> Tensor:
    """`[B, V / block, block]` view, zero-padded when the vocabulary is no multiple of the block."""
    missing = -weights.shape[1] % _BLOCK
    padded = torch.nn.functional.pad(weights, (0, missing)) if missing else weights
    blocks: Tensor = padded.unflatten(1, (-1, _BLOCK))
    return blocks


def _block_sums(weights: Tensor) -> Tensor:
    return _blocks(weights).sum(-1).double()


def _pick(weights: Tensor, sums: Tensor, uniforms: Tensor) -> Tensor:
    """The token `[B]` at which the cumulative weight passes uniform * total; never one of weight 0."""
    cumulative = sums.cumsum(1)
    target = _below(uniforms[:, None] * cumulative[:, -1:], cumulative[:, -1:])
    block = (cumulative <= target).sum(1, keepdim=True).clamp_(max=sums.shape[1] - 1)
    before = cumulative.gather(1, block) - sums.gather(1, block)
    inside = (
        _blocks(weights).gather(1, block[:, :, None].expand(-1, -1, _BLOCK)).squeeze(1).double().cumsum(1)
    )
    target = _below(target - before, inside[:, -1:])
    picked = block.squeeze(1) * _BLOCK + (inside <= target).sum(1)
    return picked.clamp_(max=weights.shape[1] - 1)


def _below(target: Tensor, limit: Tensor) -> Tensor:
    """`target`, at most just below `limit`, so that rounding never passes the last positive weight."""
    return torch.minimum(target.clamp(min=0.0), torch.nextafter(limit, torch.zeros_like(limit)))


def _nucleus(weights: Tensor, top_p: float) -> Tensor:
    """Zero all but the smallest set of tokens with `top_p` of the mass; equal weights stay together.

    The least weight that stays is found bit by bit: no sort, and nothing for which a GPU would wait.
    """
    enough = top_p * weights.sum(-1, keepdim=True)
    least = torch.zeros(len(weights), 1, dtype=torch.int32, device=weights.device)
    bits = weights.view(torch.int32)  # of non-negative floats, in the same order
    for bit in range(30, -1, -1):
        higher = least | (1 << bit)
        mass = torch.where(bits >= higher, weights, 0.0).sum(-1, keepdim=True)
        least = torch.where(mass >= enough, higher, least)
    return torch.where(bits >= least, weights, 0.0)

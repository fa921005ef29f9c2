"""Log-probabilities of single tokens from hidden states, never with all logits in memory.

Shapes: S scored tokens, E hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from flowdpo_pl.model.widened import wide_dtype, widened

_CHUNK_BYTES = 16 * 2**20  # float32 logits held at a time


@dataclass(frozen=True)
class OutputHead:
    """The frozen output layer of the base, with its end tokens merged into one symbol."""

    weight: Tensor
    """`[V, E]`."""
    bias: Tensor | None
    softcap: float | None
    """Gemma's bound: logits become softcap * tanh(logits / softcap)."""
    end_ids: tuple[int, ...]
    """All count as the first of them."""
    scale: float = 1.0
    """Logits are so many times the product (Granite, Cohere)."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits `[S, V]`, in float32 at least, of `[S, E]`, end tokens not merged yet."""
        return self.bounded(widened(F.linear(hidden, self.weight, self.bias)))

    def option_logits(self, hidden: Tensor, options: Tensor) -> Tensor:
        """Logits `[S, k]`, in float32 at least, of k options `[S, k]` per row."""
        rows = self.weight[options]
        scores = torch.einsum("soe,se->so", widened(rows), widened(hidden))
        return self.bounded(scores if self.bias is None else scores + widened(self.bias[options]))

    def bounded(self, product: Tensor) -> Tensor:
        """Scaled and capped logits of a product of hidden states and weights."""
        logits = product if self.scale == 1.0 else product * self.scale
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap

    def merged(self, logits: Tensor) -> Tensor:
        """Logits `[S, V]` with the mass of all end tokens on the first one (in place)."""
        if len(self.end_ids) > 1:
            ends = logits[:, list(self.end_ids)].logsumexp(-1)
            logits[:, list(self.end_ids)] = float("-inf")
            logits[:, self.end_ids[0]] = ends
        return logits


def token_logprobs(hidden: Tensor, targets: Tensor, head: OutputHead) -> Tensor:
    """log p(target) `[S]` in float32 at least over the whole vocabulary, for hidden states `[S, E]`.

    The head is frozen and each token has one scalar gradient, so the gradient for its hidden state is
    known while its logits are at hand: nothing is kept or computed again for backward.
    """
    result: Tensor = _TokenLogprobs.apply(hidden, targets, head)
    return result


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, head: OutputHead) -> Tensor:
        rows = max(1, _CHUNK_BYTES // (4 * head.weight.shape[0]))
        logprobs = torch.empty(len(hidden), dtype=wide_dtype(hidden.dtype), device=hidden.device)
        gradients = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            logits = head.logits(hidden[part])
            slope = None if head.softcap is None else 1 - (logits / head.softcap) ** 2
            end_share = _end_share(logits, head.end_ids)
            logp = head.merged(logits).log_softmax(-1)
            logprobs[part] = logp.gather(1, targets[part, None]).squeeze(1)
            if gradients is None:
                continue
            difference = logp.exp_().neg_()
            difference.scatter_add_(
                1, targets[part, None], torch.ones_like(targets[part, None], dtype=logp.dtype)
            )
            if end_share is not None:  # the symbol's slope belongs to each end token by its share
                difference[:, list(head.end_ids)] = difference[:, head.end_ids[:1]] * end_share
            if slope is not None:
                difference *= slope
            if head.scale != 1.0:
                difference *= head.scale
            gradients[part] = difference.to(head.weight.dtype) @ head.weight
        if gradients is not None:
            ctx.save_for_backward(gradients)
        return logprobs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (gradients,) = ctx.saved_tensors
        return (widened(gradients) * grads[0][:, None]).to(gradients.dtype), None, None


def _end_share(logits: Tensor, end_ids: tuple[int, ...]) -> Tensor | None:
    """How the end symbol's probability is split among several end tokens, `[S, ends]`."""
    return logits[:, list(end_ids)].softmax(-1) if len(end_ids) > 1 else None

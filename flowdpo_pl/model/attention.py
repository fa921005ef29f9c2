"""Attention through transformers' own extension point, for trees and for cached few-token queries.

A model loaded with `attn_implementation="flowdpo"` builds no mask of its own. Each forward carries a
*view* that knows which keys a query sees; windows and soft caps arrive per layer from the model.

A model that asks for anything else (attention sinks, a bias by position, a mask of its own) is refused in
the call: ignored, it would be a wrong number.

Shapes: B sequences, H query heads, K key/value heads, G = H / K, N queries, L keys, D head size (values may
have another than queries and keys).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.widened import widened

ATTENTION = "flowdpo"
"""Name to load a model with."""

_SCORES_AT_ONCE = 512 * 2**20  # bytes of scores that products on a CPU may hold


_SAY_NOTHING = {"position_ids", "cache_position", "position_embeddings"}
"""Keywords that models hand on to their attention although it has no use for them."""


_QUERIES_AT_ONCE = 128  # of a packed row: few enough to skip most of what they don't see


@dataclass(frozen=True, eq=False)
class QueryBlock:
    """Some queries of a forward, and the keys that any of them sees."""

    queries: slice
    keys: Tensor | None
    """Their indices; None: all of them."""
    bias: Tensor
    """`[B, 1, queries, keys]`, added to the scores: 0 where a query sees a key, -inf elsewhere."""


class View(Protocol):
    """Which keys and values the queries of one forward see."""

    def keys_values(self, key: Tensor, value: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """All keys and values `[B, K, L, D]` of a layer, given those of the new tokens `[B, K, N, D]`."""
        ...

    def blocks(self, window: int | None, dtype: torch.dtype) -> Sequence[QueryBlock]:
        """All queries in turn, with what they see within `window` positions (None: any)."""
        ...


def register() -> None:
    """Make `ATTENTION` known to transformers (idempotent)."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, attend)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    view: View | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """transformers' attention function: `[B, H, N, D]` queries to `[B, N, H, D]` outputs.

    Raises:
        UserError: the layer asks for something that isn't done here.
    """
    layer = getattr(module, "layer_idx", None)
    if view is None or not isinstance(layer, int):
        missing = "the view of a forward" if view is None else "the number of its layer"
        raise UserError(f"{type(module).__name__} does not hand {missing} on to its attention.")
    _require_nothing_else(module, {"attention_mask": attention_mask, **others})
    if scaling is None:
        scaling = query.shape[-1] ** -0.5
    key, value = view.keys_values(key, value, layer)
    outputs = [
        grouped_attention(
            query[:, :, block.queries],
            key if block.keys is None else key.index_select(2, block.keys),
            value if block.keys is None else value.index_select(2, block.keys),
            block.bias,
            scaling,
            softcap,
        )
        for block in view.blocks(sliding_window, query.dtype)
    ]
    output = outputs[0] if len(outputs) == 1 else torch.cat(outputs, 2)
    return output.transpose(1, 2).contiguous(), None


def _require_nothing_else(module: nn.Module, asked: Mapping[str, Any]) -> None:
    """Refuse keywords that say something: None, False and a dropout of 0 don't, nor does causal attention."""
    for name, value in asked.items():
        wanted = value is False if name == "is_causal" else not _is_nothing(value)
        if wanted and name not in _SAY_NOTHING:
            raise UserError(
                f"{type(module).__name__} passes {name} to its attention, which is not supported: "
                "what it means would be left out without a word."
            )


def _is_nothing(value: Any) -> bool:
    return value is None or (not isinstance(value, Tensor) and not value)


def grouped_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor, scaling: float, softcap: float | None
) -> Tensor:
    """Attention of `[B, H, N, D]` queries on `[B, K, L, D]` keys, heads of a group as further queries.

    Key/value heads are never repeated: the G heads that share one are G * N queries on it.
    """
    batch, heads, count, size = query.shape
    groups = heads // key.shape[1]
    grouped = query.reshape(batch, key.shape[1], groups * count, size)
    if softcap is not None:
        scores = widened(torch.matmul(grouped, key.transpose(-1, -2))) * scaling
        scores = torch.tanh(scores / softcap) * softcap + _of_groups(bias, groups)
        output = torch.matmul(scores.softmax(-1).to(value.dtype), value)
    elif query.device.type == "cpu" and _score_bytes(grouped, key) < _SCORES_AT_ONCE:
        output = _TwoProducts.apply(grouped, key, value, bias, scaling)
    else:
        output = F.scaled_dot_product_attention(
            grouped, key, value, attn_mask=_of_groups(bias, groups), scale=scaling
        )
    return output.reshape(batch, heads, count, -1)


class _TwoProducts(torch.autograd.Function):
    """Attention `[B, K, N, D]` as two batched products: half the time of SDPA's bf16 kernel on CPUs.

    Backward computes the weights again: kept, they would be a third of an update's memory.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, scaling: float) -> Tensor:
        ctx.save_for_backward(query, key, value, bias)
        ctx.scaling = scaling
        output = torch.bmm(_weights(query, key, bias, scaling), value.flatten(0, 1))
        return output.view(*query.shape[:3], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, bias = ctx.saved_tensors
        weights = _weights(query, key, bias, ctx.scaling)
        grad = grads[0].flatten(0, 1)
        value_grad = torch.bmm(weights.transpose(1, 2), grad)
        slope = torch.bmm(grad, value.flatten(0, 1).transpose(1, 2))
        score_grad = torch.ops.aten._softmax_backward_data(slope, weights, -1, weights.dtype)
        query_grad = torch.bmm(score_grad, key.flatten(0, 1)).mul_(ctx.scaling)
        key_grad = torch.bmm(score_grad.transpose(1, 2), query.flatten(0, 1)).mul_(ctx.scaling)
        return query_grad.view_as(query), key_grad.view_as(key), value_grad.view_as(value), None, None


def _weights(query: Tensor, key: Tensor, bias: Tensor, scaling: float) -> Tensor:
    """`[B * K, G * N, L]` of `[B, K, G * N, D]` queries, `[B, K, L, D]` keys and `[B, 1, N, L]` bias."""
    rows = _of_groups(bias, query.shape[2] // bias.shape[2]).expand(-1, key.shape[1], -1, -1).flatten(0, 1)
    scores = torch.baddbmm(rows, query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2), alpha=scaling)
    return scores.softmax(-1)


def _of_groups(bias: Tensor, groups: int) -> Tensor:
    """The bias `[B, 1, N, L]` of the queries of a group's heads, `[B, 1, G * N, L]` or broadcast to it."""
    if bias.shape[2] == 1:
        return bias
    return bias.unsqueeze(2).expand(-1, -1, groups, -1, -1).flatten(2, 3)


def _score_bytes(query: Tensor, key: Tensor) -> int:
    return query.shape[0] * query.shape[1] * query.shape[2] * key.shape[2] * query.element_size()


def additive(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where `visible`, -inf elsewhere, in `dtype`."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(
        ~visible, float("-inf")
    )


class TreeView:
    """Packed trees: a token sees its own segment up to itself, and its branch's part of the trunk."""

    def __init__(self, positions: Tensor, segments: Tensor, attached: Tensor) -> None:
        """All `[B, T]`; see `packing.PackedTree`. Padding has segment -1 and sees only padding."""
        self._positions = positions
        own = segments[:, :, None] == segments[:, None, :]
        length = positions.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=positions.device).tril()
        trunk = (segments == 0)[:, None, :] & (positions[:, None, :] < attached[:, :, None])
        self._visible = (own & causal) | trunk
        self._blocks: dict[tuple[int | None, torch.dtype], list[QueryBlock]] = {}

    def keys_values(self, key: Tensor, value: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        return key, value

    def blocks(self, window: int | None, dtype: torch.dtype) -> Sequence[QueryBlock]:
        if (window, dtype) not in self._blocks:
            visible = self._visible
            if window is not None:  # a window counts positions, not packed indices
                distance = self._positions[:, :, None] - self._positions[:, None, :]
                visible = visible & (distance < window)
            self._blocks[window, dtype] = [
                _block(visible, slice(start, start + _QUERIES_AT_ONCE), dtype)
                for start in range(0, visible.shape[1], _QUERIES_AT_ONCE)
            ]
        return self._blocks[window, dtype]


def _block(visible: Tensor, queries: slice, dtype: torch.dtype) -> QueryBlock:
    """Some queries of `[B, T, T]`, with the keys that one of them sees."""
    seen = visible[:, queries]
    keys = seen.any(1).any(0).nonzero().squeeze(1)
    return QueryBlock(queries, keys, additive(seen[:, :, keys], dtype).unsqueeze(1))

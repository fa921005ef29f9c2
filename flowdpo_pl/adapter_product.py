"""What adapters add to the output of frozen layers that read the same input, with gradients.

Shapes: N tokens (any leading dimensions), G layers, O outputs of all of them, r rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Matrices = tuple[nn.Parameter, nn.Parameter]
"""An adapter in one layer: A `[r, in]` and B `[out, r]`, float32."""


def adapter_product(x: Tensor, matrices: Sequence[Matrices], scale: float, dropout: float) -> Tensor:
    """`scale * dropout(x) A' B'` of all layers side by side, `[N, O]`, in the dtype of `x`.

    Weights stay float32 and products run in the compute dtype, as under autocast. One dropout mask
    serves all layers. For backward only `x`, the mask (a byte each) and the shrunk `[N, G * r]` are kept.
    """
    kept = kept_elements(x, dropout) if dropout else None
    flat = [parameter for pair in matrices for parameter in pair]
    result: Tensor = _AdapterProduct.apply(x, kept, scale, 1 / (1 - dropout), *flat)
    return result


def kept_elements(x: Tensor, rate: float) -> Tensor:
    """0 with probability `rate`, else 1: int8 in the shape of `x`.

    On a CPU one draw of 64 bits serves four elements: torch's own dropout took a fifth of an update. From
    bool, the cast to a compute dtype would take six times as long.
    """
    draws = torch.randint(-(2**63), 2**63 - 1, (-(-x.numel() // 4),), device=x.device)
    return draws.view(torch.int16)[: x.numel()].view(x.shape).ge(round(rate * 2**16) - 2**15).view(torch.int8)


class _AdapterProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, kept: Tensor | None, scale: float, inverse: float, *flat: Tensor
    ) -> Tensor:
        downs, ups = flat[0::2], flat[1::2]
        down = torch.cat([one.to(x.dtype) for one in downs])
        seen = x if kept is None else x * kept.to(x.dtype)
        shrunk = F.linear(seen, down).mul_(scale * inverse)
        ctx.save_for_backward(x, kept, shrunk, *flat)
        ctx.factor = scale * inverse
        return torch.cat(
            [
                F.linear(part, up.to(x.dtype))
                for part, up in zip(shrunk.split([len(one) for one in downs], -1), ups, strict=True)
            ],
            -1,
        )

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, kept, shrunk, *flat = ctx.saved_tensors
        downs, ups = flat[0::2], flat[1::2]
        ranks, sizes = [len(one) for one in downs], [len(one) for one in ups]
        seen = (x if kept is None else x * kept.to(x.dtype)).flatten(0, -2)
        shrunk_parts = shrunk.flatten(0, -2).split(ranks, -1)
        out_parts = grads[0].flatten(0, -2).split(sizes, -1)
        backs = torch.cat([out @ up.to(x.dtype) for out, up in zip(out_parts, ups, strict=True)], -1).mul_(
            ctx.factor
        )
        down_grads = (backs.t() @ seen).float().split(ranks)
        up_grads = [(out.t() @ part).float() for out, part in zip(out_parts, shrunk_parts, strict=True)]
        grad = None
        if ctx.needs_input_grad[0]:
            grad = (backs @ torch.cat([one.to(x.dtype) for one in downs])).view_as(x)
            if kept is not None:
                grad *= kept.to(x.dtype)
        pairs = zip(down_grads, up_grads, strict=True)
        return grad, None, None, None, *(one for pair in pairs for one in pair)

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


def add_adapter_product(
    output: Tensor, x: Tensor, matrices: Sequence[Matrices], scale: float, kept: Tensor | None = None
) -> Tensor:
    """The frozen output `[N, O]` of layers plus `scale * kept * x A' B'` of all of them side by side.

    Weights stay float32 and products run in the compute dtype, as under autocast. One dropout mask, `kept`
    in the shape of `x`, serves all layers. For backward only `x`, the mask (a byte each) and the shrunk
    `[N, G * r]` are kept.
    """
    flat = [parameter for pair in matrices for parameter in pair]
    result: Tensor = _AddAdapterProduct.apply(output, x, kept, scale, *flat)
    return result


class _AddAdapterProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, output: Tensor, x: Tensor, kept: Tensor | None, factor: float, *flat: Tensor
    ) -> Tensor:
        down, up = _joined(flat, x.dtype)
        shrunk = F.linear(_seen(x, kept), down).flatten(0, -2).mul_(factor)
        ctx.save_for_backward(x, kept, shrunk, *flat)
        ctx.factor = factor
        return torch.addmm(output.flatten(0, -2), shrunk, up).view_as(output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, kept, shrunk, *flat = ctx.saved_tensors
        down, up = _joined(flat, x.dtype)
        out = grads[0].flatten(0, -2)
        back = (out @ up.t()).mul_(ctx.factor)
        down_grad = (back.t() @ _seen(x, kept).flatten(0, -2)).to(flat[0].dtype)
        up_grad = (shrunk.t() @ out).to(
            flat[0].dtype
        )  # of all layers on all outputs; each takes its own block
        grad = None
        if ctx.needs_input_grad[1]:
            grad = (back @ down).view_as(x)
            if kept is not None:
                grad *= kept.to(x.dtype)
        parameters: list[Tensor] = []
        row = column = 0
        for one_down, one_up in zip(flat[0::2], flat[1::2], strict=True):
            rows, columns = slice(row, row + len(one_down)), slice(column, column + len(one_up))
            parameters += [down_grad[rows], up_grad[rows, columns].t()]
            row, column = rows.stop, columns.stop
        return grads[0], grad, None, None, *parameters


def _joined(flat: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """All A `[G * r, in]`, and all B transposed on their own rows and columns of `[G * r, O]`."""
    down = torch.cat([one.to(dtype) for one in flat[0::2]])
    return down, torch.block_diag(*(one.t().to(dtype) for one in flat[1::2]))


def _seen(x: Tensor, kept: Tensor | None) -> Tensor:
    return x if kept is None else x * kept.to(x.dtype)

"""Attention's kernels on a GPU give what separate heads give, also far from what a row sees first."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from flowdpo_pl.model.attention import additive, grouped_attention
from tests.model.test_attention import plain_attention

COLUMNS = 424


@pytest.mark.parametrize("kernel", ["chosen", "efficient"])
@pytest.mark.parametrize("columns", [COLUMNS, 411])
@pytest.mark.parametrize("queries", [1, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_behind_padding_are_attended_as_separate_heads_are(
    dtype: torch.dtype, queries: int, columns: int, kernel: str, device: torch.device
) -> None:
    """Whole blocks of keys that a row does not see come first; some queries stand on padding."""
    if kernel == "efficient" and device.type != "cuda":
        pytest.skip("a CPU has no such kernel")
    torch.manual_seed(0)
    query = torch.randn(3, 4, queries, 16, device=device, dtype=dtype, requires_grad=True)
    key, value = (
        torch.randn(3, 2, columns, 16, device=device, dtype=dtype, requires_grad=True) for _ in range(2)
    )
    column, first = torch.arange(columns, device=device), torch.tensor([0, 300, columns - 10], device=device)
    place = torch.arange(columns - queries, columns, device=device)
    visible = (column >= first[:, None, None]) & (column <= place[:, None]) | (column == place[:, None])
    bias = additive(visible, dtype)[:, None]
    context = sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION) if kernel == "efficient" else nullcontext()
    with context:
        found = grouped_attention(query, key, value, bias, 0.25, None)
        upstream = torch.randn_like(found)
        slopes = torch.autograd.grad(found, (query, key, value), upstream)
    exact = [tensor.detach().double().requires_grad_(True) for tensor in (query, key, value)]
    expected = plain_attention(*exact, visible, 0.25, None)
    wanted = torch.autograd.grad(expected, exact, upstream.double())
    rounding = 2e-5 if dtype == torch.float32 else 2e-2
    for one, other in zip((found, *slopes), (expected, *wanted), strict=True):
        assert float((one.double() - other).abs().max()) <= rounding * max(1.0, float(other.abs().max()))

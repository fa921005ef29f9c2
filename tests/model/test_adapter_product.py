"""The adapters' product side by side, and its gradients, are those of each layer on its own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flowdpo_pl.model.adapter_product import add_adapter_product

OUTPUTS = (6, 3, 5)


@pytest.mark.parametrize("dropped", [False, True])
def test_values_and_gradients_are_those_of_separate_layers(dropped: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 7, requires_grad=True)
    output = torch.randn(2, 4, sum(OUTPUTS), requires_grad=True)
    matrices = [(nn.Parameter(torch.randn(2, 7)), nn.Parameter(torch.randn(size, 2))) for size in OUTPUTS]
    leaves = [output, x, *(matrix for pair in matrices for matrix in pair)]
    kept = torch.randint(2, x.shape, dtype=torch.int8) if dropped else None
    found = add_adapter_product(output, x, matrices, 1.5, kept)
    seen = x if kept is None else x * kept
    added = [1.5 * F.linear(F.linear(seen, down), up) for down, up in matrices]
    expected = output + torch.cat(added, -1)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, leaves, upstream)
    for grad, plain in zip(torch.autograd.grad(found, leaves, upstream), wanted, strict=True):
        torch.testing.assert_close(grad, plain, atol=1e-5, rtol=1e-5)


def test_an_input_without_gradient_gets_none() -> None:
    x, output = torch.randn(4, 7), torch.randn(4, 3)
    matrices = [(nn.Parameter(torch.randn(2, 7)), nn.Parameter(torch.randn(3, 2)))]
    add_adapter_product(output, x, matrices, 1.0).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is None and all(matrix.grad is not None for matrix in matrices[0])

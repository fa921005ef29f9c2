"""Layers that read the same input become one product that gives each its own output."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from flowdpo_pl.model.acting import Acting, Decoding, Mode, Nobody
from flowdpo_pl.model.fused_layers import Adapter, FusedLayers, reading_together

SIZES = (6, 3, 5)


class Quantised(nn.Linear):
    """Not a plain linear layer, so its product stays its own."""


class Around(nn.Module):
    """Stands where a frozen layer stood, as PEFT's layers do."""

    def __init__(self, frozen: nn.Linear) -> None:
        super().__init__()
        self.frozen = frozen


class Block(nn.Module):
    """Two layers on the input, one on what they say."""

    def __init__(self, kind: type[nn.Linear], bias: tuple[bool, bool, bool]) -> None:
        super().__init__()
        inputs = (4, 4, SIZES[0] + SIZES[1])
        self.layers = [kind(*sizes, bias=one) for *sizes, one in zip(inputs, SIZES, bias, strict=True)]
        self.arounds = nn.ModuleList(map(Around, self.layers))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        one, two, three = self.arounds
        return three(torch.cat([one(x), two(x)], -1))  # type: ignore[no-any-return]


def adapter_for(block: Block, seed: int) -> Adapter:
    torch.manual_seed(seed)
    return Adapter(
        [
            (nn.Parameter(torch.randn(2, one.in_features)), nn.Parameter(torch.randn(one.out_features, 2)))
            for one in block.layers
        ],
        scale=0.5,
    )


class Fused:
    """A block whose layers' forwards go through a mode."""

    def __init__(self, block: Block) -> None:
        self.mode: Mode = Nobody()
        self.layers = FusedLayers(block.layers, [[0, 1], [2]], room=2, dtype=torch.float32)
        forwards = self.layers.forwards(lambda group, x: self.mode.outputs(group, x))
        for around, forward in zip(block.arounds, forwards, strict=True):
            setattr(around, "forward", forward)  # noqa: B010


def plain(block: Block, x: Tensor, adapter: Adapter | None) -> Tensor:
    """Layer by layer, as PEFT writes it."""

    def output(index: int, x: Tensor) -> Tensor:
        layer = block.layers[index]
        result = nn.functional.linear(x, layer.weight, layer.bias)
        if adapter is not None:
            down, up = adapter.matrices[index]
            result = result + adapter.scale * (x @ down.t() @ up.t())
        return result

    return output(2, torch.cat([output(0, x), output(1, x)], -1))


@pytest.mark.parametrize("bias", [(False, False, False), (True, False, True)])
@pytest.mark.parametrize("kind", [nn.Linear, Quantised])
def test_every_mode_gives_what_separate_layers_give(
    kind: type[nn.Linear], bias: tuple[bool, bool, bool]
) -> None:
    torch.manual_seed(0)
    block = Block(kind, bias)
    x = torch.randn(2, 3, 4)
    fused = Fused(block)
    torch.testing.assert_close(block(x), plain(block, x, None))
    for seed in (1, 2):  # a second adapter takes the first one's place
        adapter = adapter_for(block, seed)
        expected = plain(block, x, adapter)
        fused.mode = Acting(adapter)
        found = block(x)
        torch.testing.assert_close(found, expected)
        leaves = [matrix for pair in adapter.matrices for matrix in pair]
        wanted = torch.autograd.grad(expected.sum(), leaves)
        for grad, own in zip(torch.autograd.grad(found.sum(), leaves), wanted, strict=True):
            torch.testing.assert_close(grad, own)
        fused.layers.load(adapter)
        fused.mode = Decoding()
        with torch.inference_mode():
            torch.testing.assert_close(block(x), expected.detach())


def test_no_weight_is_held_twice() -> None:
    block = Block(nn.Linear, (True, True, True))
    before = [layer.weight.clone() for layer in block.layers]
    Fused(block)
    block(torch.zeros(1, 4))
    one, two, three = (layer.weight for layer in block.layers)
    assert one.untyped_storage().data_ptr() == two.untyped_storage().data_ptr()
    assert one.untyped_storage().data_ptr() != three.untyped_storage().data_ptr()
    for weight, old in zip((one, two, three), before, strict=True):
        assert torch.equal(weight, old)


def test_weights_that_have_moved_are_laid_together_again() -> None:
    torch.manual_seed(0)
    block = Block(nn.Linear, (False, False, False))
    fused, x = Fused(block), torch.randn(3, 4)
    block(x)
    for layer in block.layers:
        layer.weight.data = 2 * layer.weight  # as a move does: elsewhere
    fused.layers.forget()
    torch.testing.assert_close(block(x), plain(block, x, None))


def test_layers_are_together_only_where_they_read_the_very_same_tensor() -> None:
    one, two, three = (nn.Linear(4, 4) for _ in range(3))

    def run() -> None:
        x = torch.zeros(1, 4)
        one(x), two(x.clone()), three(x)

    assert reading_together([one, two, three], run) == [[0], [1], [2]]
    x = torch.zeros(1, 4)
    assert reading_together([one, two, three], lambda: three(one(two(x) + one(x)))) == [[1], [0], [2]]
    assert not one._forward_pre_hooks


def test_a_tensor_that_changed_in_place_is_another() -> None:
    one, two, three = (nn.Linear(4, 4) for _ in range(3))

    @torch.no_grad()
    def run() -> None:
        x = torch.zeros(1, 4)
        one(x), two(x), three(x.mul_(2))

    assert reading_together([one, two, three], run) == [[0, 1], [2]]


def test_an_output_may_be_changed_in_place_in_the_update() -> None:
    torch.manual_seed(0)
    block = Block(nn.Linear, (False, False, False))
    fused, x = Fused(block), torch.randn(3, 4)
    adapter = adapter_for(block, 1)
    fused.mode = Acting(adapter)
    one, two, _ = block.arounds
    (one(x).mul_(2.0).sum() + two(x).sum()).backward()
    left = [matrix.grad for matrix in adapter.matrices[0]]
    for pair in adapter.matrices:
        for matrix in pair:
            matrix.grad = None
    (2.0 * one(x).sum() + two(x).sum()).backward()
    for grad, matrix in zip(left, adapter.matrices[0], strict=True):
        torch.testing.assert_close(grad, matrix.grad)

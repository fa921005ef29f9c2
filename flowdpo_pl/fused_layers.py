"""Frozen layers with an agent's adapter: those that read the same input become one product.

Query, key and value projections read one input, gate and up projections another. Which ones belong
together is seen in a forward, so no architecture is named. Their frozen weights are laid one after
another in memory, followed by room for an adapter's A, and each layer's own weight becomes its part of
that: no weight is held twice.

Shapes: N tokens (any leading dimensions), G layers of a group, O outputs of all of them, r rank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowdpo_pl.adapter_product import Matrices, adapter_product


@dataclass(frozen=True)
class TrainedAdapter:
    """An agent's adapter with gradients."""

    matrices: Sequence[Matrices]
    """By layer."""
    scale: float
    """alpha / r"""
    dropout: float
    """Rate; 0 while not training."""


@dataclass(frozen=True, eq=False)
class GroupCopy:
    """One agent's adapter in the layers of a group, in the compute dtype."""

    down: Tensor
    """`[G * r, in]`, all A."""
    up: Tensor
    """`[G * r, O]`: each B transposed and scaled, on its own rows and columns, zeros elsewhere."""


class FusedLayers:
    """The frozen layers of a model, by index.

    Each way to go through them gives the output of one layer: the first layer of a group computes all
    outputs, which the others then take.
    """

    def __init__(self, layers: Sequence[nn.Module], together: Sequence[Sequence[int]], room: int) -> None:
        """
        Args:
            layers: the layers without their adapters.
            together: indices of layers that read the same input.
            room: rank of the adapters.
        """
        self._groups: list[_Group] = []
        for group in together:
            plain = [layer for index in group if type(layer := layers[index]) is nn.Linear]
            if len(plain) == len(group):
                self._groups.append(_OneProduct(tuple(group), plain, room * len(group)))
            else:  # quantised weights have products of their own
                self._groups.extend(_OwnProduct((index,), layers[index]) for index in group)
        self._led_by = {group.members[0]: number for number, group in enumerate(self._groups)}
        self._ready: dict[int, Tensor] = {}

    def copies(self, adapter: TrainedAdapter, dtype: torch.dtype) -> list[GroupCopy]:
        """A copy of an adapter for `decoding`."""
        copies = []
        for group in self._groups:
            downs, ups = zip(*(adapter.matrices[index] for index in group.members), strict=True)
            copies.append(
                GroupCopy(
                    down=torch.cat([down.detach().to(dtype) for down in downs]),
                    up=torch.block_diag(*((up.detach() * adapter.scale).t().to(dtype) for up in ups)),
                )
            )
        return copies

    def frozen(self, index: int, x: Tensor) -> Tensor:
        """Without an adapter."""
        return self._of_group(index, lambda number, group: group.frozen(x))

    def trained(self, index: int, x: Tensor, adapter: TrainedAdapter) -> Tensor:
        """With an adapter that learns."""

        def output(number: int, group: _Group) -> Tensor:
            matrices = [adapter.matrices[member] for member in group.members]
            return group.frozen(x) + adapter_product(x, matrices, adapter.scale, adapter.dropout)

        return self._of_group(index, output)

    def decoding(self, index: int, x: Tensor, copies: Sequence[GroupCopy]) -> Tensor:
        """With a copy of an adapter, without gradients."""
        return self._of_group(index, lambda number, group: group.decoding(x, copies[number]))

    def _of_group(self, index: int, output: Callable[[int, _Group], Tensor]) -> Tensor:
        number = self._led_by.get(index)
        if number is None:
            return self._ready.pop(index)
        group = self._groups[number]
        first: Tensor
        first, *others = output(number, group).split(group.sizes, -1)
        self._ready.update(zip(group.members[1:], others, strict=True))
        return first


class _Group(Protocol):
    members: tuple[int, ...]
    sizes: list[int]
    """Outputs of each member."""

    def frozen(self, x: Tensor) -> Tensor:
        """Outputs `[N, O]` of the frozen layers."""
        ...

    def decoding(self, x: Tensor, copy: GroupCopy) -> Tensor:
        """Outputs `[N, O]` with an adapter's copy."""
        ...


class _OneProduct:
    """Layers whose weights, and room for the adapter's A, are one matrix `[O + G * r, in]`."""

    def __init__(self, members: tuple[int, ...], layers: Sequence[nn.Linear], room: int) -> None:
        self.members = members
        self.sizes = [layer.out_features for layer in layers]
        self._outputs = sum(self.sizes)
        weights = [layer.weight.detach() for layer in layers]
        self._weight = torch.cat([*weights, weights[0].new_zeros(room, weights[0].shape[1])])
        self._bias: Tensor | None = None
        if any(layer.bias is not None for layer in layers):
            biases = [
                weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()
                for layer, weight in zip(layers, weights, strict=True)
            ]
            self._bias = torch.cat([*biases, weights[0].new_zeros(room)])
        for layer, part in zip(layers, self._weight[: self._outputs].split(self.sizes), strict=True):
            layer.weight.data = part
        self._holds: GroupCopy | None = None

    def frozen(self, x: Tensor) -> Tensor:
        bias = None if self._bias is None else self._bias[: self._outputs]
        return F.linear(x, self._weight[: self._outputs], bias)

    def decoding(self, x: Tensor, copy: GroupCopy) -> Tensor:
        if self._holds is not copy:
            self._weight[self._outputs :] = copy.down
            self._holds = copy
        both = F.linear(x, self._weight, self._bias)
        output = both[..., : self._outputs]
        # in place: nobody else holds the product
        both.flatten(0, -2)[:, : self._outputs].addmm_(both.flatten(0, -2)[:, self._outputs :], copy.up)
        return output


class _OwnProduct:
    """A layer that computes its own product."""

    def __init__(self, members: tuple[int, ...], layer: nn.Module) -> None:
        self.members = members
        self.sizes = [int(layer.out_features)]  # type: ignore[arg-type]
        self._layer = layer

    def frozen(self, x: Tensor) -> Tensor:
        output: Tensor = self._layer(x)
        return output

    def decoding(self, x: Tensor, copy: GroupCopy) -> Tensor:
        output = self.frozen(x)
        output.flatten(0, -2).addmm_(F.linear(x, copy.down).flatten(0, -2), copy.up)
        return output


def reading_together(layers: Sequence[nn.Module], run: Callable[[], object]) -> list[list[int]]:
    """Indices of layers that `run` calls one after another with the same tensor."""
    calls: list[tuple[int, Tensor]] = []

    def note(index: int, _: nn.Module, arguments: tuple[Any, ...]) -> None:
        calls.append((index, arguments[0]))

    hooks = [layer.register_forward_pre_hook(partial(note, index)) for index, layer in enumerate(layers)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    groups: list[list[int]] = []
    before: Tensor | None = None
    for index, x in calls:
        if x is before:
            groups[-1].append(index)
        else:
            groups.append([index])
        before = x
    return groups

"""Adapted layers while decoding: those that read the same input become one product.

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
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Matrices = tuple[Tensor, Tensor]
"""An adapter in one layer: A `[r, in]`, and B `[out, r]` times its scale."""


@dataclass(frozen=True, eq=False)
class GroupAdapter:
    """One agent's adapter in the layers of a group, in the compute dtype."""

    down: Tensor
    """`[G * r, in]`, all A."""
    up: Tensor
    """`[G * r, O]`: each B transposed, on its own rows and columns, zeros elsewhere."""


class FusedLayers:
    """The frozen layers of a model, by index, with one agent's adapter on top."""

    def __init__(self, layers: Sequence[nn.Module], together: Sequence[Sequence[int]], room: int) -> None:
        """
        Args:
            layers: the layers without their adapters.
            together: indices of layers that read the same input.
            room: rank of the adapters.
        """
        self._groups: list[_Plain | _Single] = []
        for group in together:
            members = [layers[index] for index in group]
            if all(type(member) is nn.Linear for member in members):
                self._groups.append(_Plain(tuple(group), members, room * len(group)))
            else:  # quantised weights have their own products
                self._groups.extend(_Single((index,), layers[index]) for index in group)
        self._led_by = {group.members[0]: number for number, group in enumerate(self._groups)}
        self._ready: dict[int, Tensor] = {}

    def adapter(self, matrices: Sequence[Matrices], dtype: torch.dtype) -> list[GroupAdapter]:
        """A copy of an adapter, given layer by layer, for `forward`."""
        return [
            GroupAdapter(
                down=torch.cat([matrices[index][0].detach().to(dtype) for index in group.members]),
                up=torch.block_diag(*(matrices[index][1].detach().t().to(dtype) for index in group.members)),
            )
            for group in self._groups
        ]

    def forward(self, index: int, x: Tensor, adapter: Sequence[GroupAdapter]) -> Tensor:
        """Output of one layer. The first layer of a group computes all, which the others then take."""
        number = self._led_by.get(index)
        if number is None:
            return self._ready.pop(index)
        group = self._groups[number]
        first, *others = group(x, adapter[number])
        self._ready.update(zip(group.members[1:], others, strict=True))
        return first


class _Plain:
    """Layers whose weights, and the adapter's A, are one matrix `[O + G * r, in]`."""

    def __init__(self, members: tuple[int, ...], layers: Sequence[nn.Linear], room: int) -> None:
        self.members = members
        self._sizes = [layer.out_features for layer in layers]
        self._outputs = sum(self._sizes)
        first = layers[0].weight
        with torch.no_grad():
            parts = [layer.weight for layer in layers]
            self._weight = torch.cat([*parts, first.new_zeros(room, layers[0].in_features)])
            self._bias: Tensor | None = None
            if any(layer.bias is not None for layer in layers):
                biases = [
                    first.new_zeros(size) if layer.bias is None else layer.bias
                    for layer, size in zip(layers, self._sizes, strict=True)
                ]
                self._bias = torch.cat([*biases, first.new_zeros(room)])
        for layer, part in zip(layers, self._weight[: self._outputs].split(self._sizes), strict=True):
            layer.weight.data = part
        self._holds: GroupAdapter | None = None

    def __call__(self, x: Tensor, adapter: GroupAdapter) -> tuple[Tensor, ...]:
        if self._holds is not adapter:
            self._weight[self._outputs :] = adapter.down
            self._holds = adapter
        output = F.linear(x, self._weight, self._bias)
        flat = output.flatten(0, -2)
        flat[:, : self._outputs].addmm_(flat[:, self._outputs :], adapter.up)
        return output[..., : self._outputs].split(self._sizes, -1)


class _Single:
    """A layer that computes its own product."""

    def __init__(self, members: tuple[int, ...], layer: nn.Module) -> None:
        self.members = members
        self._layer = layer

    def __call__(self, x: Tensor, adapter: GroupAdapter) -> tuple[Tensor, ...]:
        output: Tensor = self._layer(x)
        # in place: nobody else holds the product
        output.flatten(0, -2).addmm_(F.linear(x, adapter.down).flatten(0, -2), adapter.up)
        return (output,)


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

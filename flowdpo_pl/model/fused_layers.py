"""Frozen layers with an agent's adapter: those that read the same input become one product.

Query, key and value projections read one input, gate and up projections another. Which ones belong
together is seen in a forward, so no architecture is named. Their frozen weights are laid one after
another in memory, followed by room for an adapter's A, and each layer's own weight becomes its part of
that: no weight is held twice.

Shapes: N tokens (any leading dimensions), G layers of a group, O outputs of all of them, r rank.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowdpo_pl.model.adapter_product import Matrices
from flowdpo_pl.model.dropout import Dropout


@dataclass(frozen=True)
class Adapter:
    """An agent's adapter in all layers."""

    matrices: Sequence[Matrices]
    """By layer."""
    scale: float
    """alpha / r"""
    dropout: Dropout | None = None
    """None while not training."""


class FusedLayers:
    """The adapted layers of a model in groups that read the same input."""

    def __init__(
        self,
        layers: Sequence[nn.Module],
        together: Sequence[Sequence[int]],
        room: int,
        dtype: torch.dtype,
    ) -> None:
        """
        Args:
            layers: the layers without their adapters.
            together: indices of layers that read the same input.
            room: rank of the adapters.
            dtype: of the computation.
        """
        self._count = len(layers)
        self._groups: list[Group] = []
        for indices in together:
            plain = [layer for index in indices if type(layer := layers[index]) is nn.Linear]
            if len(plain) == len(indices):
                self._groups.append(_OneProduct(tuple(indices), plain, room))
            else:  # quantised weights have products of their own
                self._groups.extend(_OwnProduct((index,), layers[index], dtype) for index in indices)

    def forwards(self, through: Callable[[Group, Tensor], Tensor]) -> list[Callable[[Tensor], Tensor]]:
        """Each layer's forward, given how a group's outputs `[N, O]` come about."""
        forwards: list[Callable[[Tensor], Tensor]] = [nn.Identity()] * self._count
        for group in self._groups:
            shared = _Shared(group, through)
            for place, index in enumerate(group.members):
                forwards[index] = partial(shared.output, place)
        return forwards

    def load(self, adapter: Adapter) -> None:
        """Take a copy of an adapter, in the compute dtype, for decoding."""
        for group in self._groups:
            group.load(adapter)

    def forget(self) -> None:
        """Say that weights have moved to another device: they no longer lie side by side."""
        for group in self._groups:
            group.forget()


class _Shared:
    """The outputs of a group: its first layer computes all, which the others then take."""

    def __init__(self, group: Group, through: Callable[[Group, Tensor], Tensor]) -> None:
        self._group = group
        self._through = through
        self._left: list[Tensor] = []

    def output(self, place: int, x: Tensor) -> Tensor:
        if place == 0:
            # plain `split` gives views that a model can't change in place while gradients are recorded
            outputs = torch.unsafe_split_with_sizes(self._through(self._group, x), self._group.sizes, -1)
            self._left = list(outputs)[::-1]
        return self._left.pop()


class Group(Protocol):
    """Layers that read the same input."""

    members: tuple[int, ...]
    sizes: list[int]
    """Outputs of each member."""

    def frozen(self, x: Tensor) -> Tensor:
        """Outputs `[N, O]` of the frozen layers."""
        ...

    def load(self, adapter: Adapter) -> None:
        """Copy an adapter for `decoding`, in place: what a captured graph reads stays where it is."""
        ...

    def decoding(self, x: Tensor) -> Tensor:
        """Outputs `[N, O]` with the loaded adapter, without gradients."""
        ...

    def forget(self) -> None: ...


class _OneProduct:
    """Layers whose weights, and room for the adapter's A, are one matrix `[O + G * r, in]`."""

    def __init__(self, members: tuple[int, ...], layers: Sequence[nn.Linear], room: int) -> None:
        self.members = members
        self.sizes = [layer.out_features for layer in layers]
        self._layers = layers
        self._room = room * len(layers)
        self._outputs = sum(self.sizes)
        self._all: tuple[Tensor, Tensor | None, Tensor] | None = None

    def _laid(self) -> tuple[Tensor, Tensor | None, Tensor]:
        """Weights, then A, `[O + G * r, in]`; biases, then zeros; all B, `[G * r, O]`."""
        if self._all is None:
            with torch.inference_mode(False), torch.no_grad():
                self._all = self._lay()
        return self._all

    def _lay(self) -> tuple[Tensor, Tensor | None, Tensor]:
        weights = [layer.weight.detach() for layer in self._layers]
        room = weights[0].new_zeros(self._room, weights[0].shape[1])
        weight, bias = torch.cat([*weights, room]), None
        if any(layer.bias is not None for layer in self._layers):
            biases = [
                weight.new_zeros(size) if layer.bias is None else layer.bias.detach()
                for layer, size in zip(self._layers, self.sizes, strict=True)
            ]
            bias = torch.cat([*biases, weight.new_zeros(self._room)])
        for layer, part in zip(self._layers, weight[: self._outputs].split(self.sizes), strict=True):
            layer.weight.data = part
        return weight, bias, weight.new_zeros(self._room, self._outputs)

    def forget(self) -> None:
        self._all = None

    def frozen(self, x: Tensor) -> Tensor:
        weight, bias, _ = self._laid()
        return F.linear(x, weight[: self._outputs], None if bias is None else bias[: self._outputs])

    def load(self, adapter: Adapter) -> None:
        weight, _, ups = self._laid()
        with torch.no_grad():
            _copy(adapter, self.members, weight[self._outputs :], ups)

    def decoding(self, x: Tensor) -> Tensor:
        weight, bias, ups = self._laid()
        both = F.linear(x, weight, bias)
        flat = both.flatten(0, -2)
        # in place: nobody else holds the product
        flat[:, : self._outputs].addmm_(flat[:, self._outputs :], ups)
        return both[..., : self._outputs]


class _OwnProduct:
    """A layer that computes its own product."""

    def __init__(self, members: tuple[int, ...], layer: nn.Module, dtype: torch.dtype) -> None:
        self.members = members
        self.sizes = [int(layer.out_features)]  # type: ignore[arg-type]
        self._layer = layer
        self._dtype = dtype
        self._adapter: tuple[Tensor, Tensor] | None = None

    def forget(self) -> None:
        self._adapter = None

    def frozen(self, x: Tensor) -> Tensor:
        output: Tensor = self._layer(x)
        return output

    def load(self, adapter: Adapter) -> None:
        down, up = adapter.matrices[self.members[0]]
        if self._adapter is None:
            self._adapter = (
                down.new_zeros(down.shape, dtype=self._dtype),
                up.new_zeros(up.t().shape, dtype=self._dtype),
            )
        with torch.no_grad():
            _copy(adapter, self.members, *self._adapter)

    def decoding(self, x: Tensor) -> Tensor:
        assert self._adapter is not None
        down, up = self._adapter
        output = self.frozen(x)
        output.flatten(0, -2).addmm_(F.linear(x, down).flatten(0, -2), up)
        return output


def _copy(adapter: Adapter, members: Sequence[int], downs: Tensor, ups: Tensor) -> None:
    """All A of `members` into `[G * r, in]`, each scaled B into its rows and columns of `[G * r, O]`."""
    row = column = 0
    for member in members:
        down, up = adapter.matrices[member]
        rows, columns = slice(row, row + len(down)), slice(column, column + len(up))
        downs[rows] = down
        ups[rows, columns] = up.t() * adapter.scale
        row, column = rows.stop, columns.stop


def reading_together(layers: Sequence[nn.Module], run: Callable[[], object]) -> list[list[int]]:
    """Indices of layers that `run` calls one after another with the same tensor.

    A layer that is called more than once stands alone: what it reads is another tensor each time.
    """
    calls: list[tuple[int, Tensor, int]] = []

    def note(index: int, _: nn.Module, arguments: tuple[Any, ...]) -> None:
        calls.append((index, arguments[0], arguments[0]._version))  # its version tells a change in place

    hooks = [layer.register_forward_pre_hook(partial(note, index)) for index, layer in enumerate(layers)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    groups: list[list[int]] = []
    times = Counter(index for index, _, _ in calls)
    before: tuple[Tensor, int] | None = None
    for index, x, version in calls:
        if times[index] > 1:
            before = None
            if [index] not in groups:
                groups.append([index])
            continue
        if before is not None and x is before[0] and version == before[1]:
            groups[-1].append(index)
        else:
            groups.append([index])
        before = (x, version)
    return groups

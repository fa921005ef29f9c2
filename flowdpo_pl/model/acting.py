"""Who acts in a forward: nobody, an adapter with gradients, or the copy of one that decodes.

Shapes: N tokens (any leading dimensions), O outputs of all layers of a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from flowdpo_pl.model.adapter_product import add_adapter_product
from flowdpo_pl.model.fused_layers import Adapter, Group


class Mode(Protocol):
    """What adapted layers compute."""

    def outputs(self, group: Group, x: Tensor) -> Tensor:
        """Outputs `[N, O]` of layers that read `x`."""
        ...


@dataclass(frozen=True)
class Nobody:
    """The frozen base alone."""

    def outputs(self, group: Group, x: Tensor) -> Tensor:
        return group.frozen(x)


@dataclass(frozen=True)
class Acting:
    """An adapter that learns, or is compared with."""

    adapter: Adapter

    def outputs(self, group: Group, x: Tensor) -> Tensor:
        matrices = [self.adapter.matrices[member] for member in group.members]
        scale, dropout = self.adapter.scale, self.adapter.dropout
        if dropout is None:
            return add_adapter_product(group.frozen(x), x, matrices, scale)
        kept = dropout.kept(x, group.members[0])
        return add_adapter_product(group.frozen(x), x, matrices, scale / (1 - dropout.rate), kept)


@dataclass(frozen=True)
class Decoding:
    """The adapter that was loaded last. It has no fields: a compiled step serves every agent."""

    def outputs(self, group: Group, x: Tensor) -> Tensor:
        return group.decoding(x)

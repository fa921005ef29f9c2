"""The shape of a base: what memory and arithmetic are computed from. Plain numbers, no weights, no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """Linear layers that read the same input, and so become one product."""

    inputs: int
    outputs: tuple[int, ...]
    """Of each layer."""
    adapted: tuple[bool, ...]
    """Whether each layer gets an adapter."""

    @property
    def width(self) -> int:
        """Outputs of all layers."""
        return sum(self.outputs)

    @property
    def parameters(self) -> int:
        return self.inputs * self.width

    def adapter_parameters(self, rank: int) -> int:
        """Of one agent: A `[r, in]` and B `[out, r]` of each adapted layer."""
        both = zip(self.outputs, self.adapted, strict=True)
        return sum(rank * (self.inputs + out) for out, has in both if has)


@dataclass(frozen=True)
class LayerShape:
    """One layer of the decoder."""

    products: tuple[Product, ...]
    heads: int
    """Query heads."""
    key_heads: int
    key_size: int
    value_size: int
    norms: int
    """Normalisations of the whole hidden state."""
    head_norms: bool
    """Whether queries and keys are normalised head by head."""

    @property
    def parameters(self) -> int:
        """Of its linear layers."""
        return sum(product.parameters for product in self.products)

    @property
    def cached(self) -> int:
        """Numbers that one token leaves in the key/value cache."""
        return self.key_heads * (self.key_size + self.value_size)


@dataclass(frozen=True)
class ModelShape:
    """A decoder with its embeddings and output head."""

    family: str
    hidden: int
    vocabulary: int
    layers: tuple[LayerShape, ...]
    others: int
    """Parameters that are in no linear layer of the decoder: embeddings, an output head of its own, norms."""
    stored_bytes: int
    """Of a parameter in the model's files."""

    @property
    def matrices(self) -> int:
        """Parameters of the decoder's linear layers: what can be quantised."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def parameters(self) -> int:
        return self.matrices + self.others

    @property
    def products(self) -> Iterable[Product]:
        return (product for layer in self.layers for product in layer.products)

    def adapter_parameters(self, rank: int) -> int:
        """Of one agent."""
        return sum(product.adapter_parameters(rank) for product in self.products)

    def cache_bytes(self, element: int) -> int:
        """Of one token that one agent has read, a number of `element` bytes each."""
        return element * sum(layer.cached for layer in self.layers)

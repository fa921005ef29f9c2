"""Bytes of what lies in memory from the start to the end of a run: weights, adapters, Adam's state."""

from __future__ import annotations

from flowdpo_pl.model.quantization import Quantization
from flowdpo_pl.plan.shapes import ModelShape

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_BLOCK, _BLOCKS_AT_ONCE = 64, 256
_CODES = 16 + 256 + 1
"""float32 numbers that every 4-bit layer has: its 16 values, the 256 values of its scales, their mean."""


def weight_bytes(shape: ModelShape, element: int, quantization: Quantization | None) -> int:
    """Of the frozen base, a number of `element` bytes in what is not quantised.

    nf4: half a byte a weight; a byte for the scale of each 64; four for the scale of each 256 scales.
    int8: a byte a weight, four for the scale of each row.
    """
    return shape.others * element + _matrix_bytes(shape, element, quantization)


def _matrix_bytes(shape: ModelShape, element: int, quantization: Quantization | None) -> int:
    if quantization is None:
        return shape.matrices * element
    total = 0
    for product in shape.products:
        for outputs in product.outputs:
            weights = product.inputs * outputs
            if quantization == "int8":
                total += weights + 4 * outputs
            else:
                blocks = -(-weights // _BLOCK)
                total += weights // 2 + blocks + 4 * -(-blocks // _BLOCKS_AT_ONCE) + 4 * _CODES
    return total


def mapped_bytes(shape: ModelShape, element: int, quantization: Quantization | None) -> int:
    """On a CPU, beside the weights: pages of the model's file that were read and stay mapped.

    Where the file has the dtype of the run, embeddings and norms are the file's own pages, and matrices are
    copied from it to lie side by side: what is counted twice. Where it has another dtype, each weight is
    converted and its page can go, but the system takes it back only when it needs room.
    """
    same = shape.stored_bytes == element
    return shape.matrices * shape.stored_bytes if same else shape.parameters * shape.stored_bytes


def decoding_bytes(shape: ModelShape, rank: int, element: int, quantization: Quantization | None) -> int:
    """Of the room for the adapter that decodes: A of each layer of a product, and B on its own rows and
    columns of `[G r, O]`; beside quantised layers, which stand alone, just A and B."""
    if quantization is not None:
        return element * shape.adapter_parameters(rank)
    return element * sum(
        rank * sum(product.adapted) * (product.inputs + product.width) for product in shape.products
    )


def adapter_bytes(shape: ModelShape, rank: int, agents: int) -> int:
    """Of float32 adapters."""
    return 4 * agents * shape.adapter_parameters(rank)


def adam_bytes(shape: ModelShape, rank: int, learners: int) -> int:
    """Two float32 moments a parameter."""
    return 8 * learners * shape.adapter_parameters(rank)

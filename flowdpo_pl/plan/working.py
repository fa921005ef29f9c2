"""Bytes that play and learning hold for a while: caches, activations, logits.

Shapes: N tokens, B rows, T tokens of a packed tree, E hidden size, V vocabulary, r rank, b bytes of a
number in the compute dtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flowdpo_pl.plan.shapes import LayerShape, ModelShape
from flowdpo_pl.plan.workload import PackedShape, Wave

_LOGIT_BYTES = 16 * 2**20
"""float32 logits of scored tokens at a time (model/output_head.py)."""
_COLUMNS_AT_ONCE = 32
"""Columns by which a workspace grows (play/engines/workspace.py)."""
_SCORE_BYTES = 512 * 2**20
"""Above it attention on a CPU holds no scores (model/attention.py)."""
_QUERIES_AT_ONCE = 128


@dataclass(frozen=True)
class Reading:
    """How a forward is computed."""

    element: int
    """b"""
    rank: int
    dropout: bool
    checkpointing: bool
    holds_scores: bool
    """Whether attention's scores are in memory: on a CPU."""


def saved_bytes(layer: LayerShape, hidden: int, tree: PackedShape, rows: int, reading: Reading) -> int:
    """What one layer keeps for backward of `rows` trees."""
    tokens, b = rows * tree.tokens, reading.element
    a_token = 4 * layer.norms * hidden  # a norm keeps its input in float32
    if layer.head_norms:
        a_token += 4 * layer.key_size * (layer.heads + layer.key_heads)
    for number, product in enumerate(layer.products):
        adapted = sum(product.adapted)
        if adapted:  # the input, a byte of dropout mask for each number of it, and A's small outputs
            a_token += product.inputs * (b + reading.dropout) + adapted * reading.rank * b
        if _is_feed_forward(layer, number):
            inner = layer.products[number + 1].inputs
            a_token += b * (product.width + (inner if product.width > inner else 0))  # gate and up; act(gate)
    a_token += b * layer.heads * layer.key_size  # queries, copied block by block
    keys = rows * sum(tree.seen) * b * layer.cached  # so are the keys and values that a block sees
    return tokens * a_token + keys


def _is_feed_forward(layer: LayerShape, number: int) -> bool:
    """Whether a product's outputs pass an activation on their way into the layer's last product."""
    if number + 2 != len(layer.products):
        return False
    inner = layer.products[number + 1].inputs
    return layer.products[number].width in (inner, 2 * inner)


def activation_bytes(shape: ModelShape, tree: PackedShape, rows: int, reading: Reading) -> int:
    """What a forward of `rows` packed trees keeps for backward, and what one layer's backward adds."""
    tokens, b = rows * tree.tokens, reading.element
    saved = [saved_bytes(layer, shape.hidden, tree, rows, reading) for layer in shape.layers]
    last_norm = 4 * tokens * shape.hidden
    inputs = len(saved) * tokens * shape.hidden * b
    kept = inputs + max(saved) if reading.checkpointing else sum(saved)
    return kept + last_norm + _layer_bytes(shape, tokens, b) + _attention_bytes(shape, tree, rows, reading)


def _layer_bytes(shape: ModelShape, tokens: int, element: int) -> int:
    """What the widest product of a layer has in hand: its input and output, or their gradients."""
    widest = max(product.inputs + product.width for product in shape.products)
    return tokens * element * (widest + 2 * shape.hidden)


def _attention_bytes(shape: ModelShape, tree: PackedShape, rows: int, reading: Reading) -> int:
    """Who sees whom (a byte a pair of tokens, a few times over), the biases made of it, a block's scores."""
    visible = 4 * rows * tree.tokens**2
    biases = rows * _QUERIES_AT_ONCE * sum(tree.seen) * reading.element
    heads = max(layer.heads for layer in shape.layers)
    scores = rows * heads * _QUERIES_AT_ONCE * max(tree.seen) * reading.element
    return visible + biases + (3 * scores if reading.holds_scores else 0)


def scored_bytes(shape: ModelShape, tree: PackedShape, rows: int, element: int) -> int:
    """Of logits in parts of 16 MiB (with their log-probabilities, and both in the compute dtype where that is
    another), and of the hidden states of scored tokens with their gradients."""
    if not tree.scored:
        return 0
    part = min(rows * tree.scored, max(1, _LOGIT_BYTES // (4 * shape.vocabulary)))
    in_hand = 8 if element == 4 else 8 + 2 * element
    return part * shape.vocabulary * in_hand + 2 * rows * tree.scored * shape.hidden * element


def rows_at_once(wave_rows: int, columns: int, decode_tokens: int) -> int:
    """Rows of a micro-batch."""
    return max(1, min(wave_rows, decode_tokens // columns))


def workspace_bytes(shape: ModelShape, waves: Sequence[Wave], decode_tokens: int, element: int) -> int:
    """Of the caches of the rows that decode, in the largest wave; while a layer's grows there are two."""
    largest = 0
    for wave in waves:
        columns = wave.context + wave.tokens
        rows = rows_at_once(wave.rows, columns, decode_tokens)
        whole = rows * columns * shape.cache_bytes(element)
        largest = max(largest, whole + whole // len(shape.layers))
    return largest


def decoding_bytes(shape: ModelShape, waves: Sequence[Wave], decode_tokens: int, reading: Reading) -> int:
    """Of one step's logits and of what reading the prompts has in hand."""
    b = reading.element
    largest = 0
    for wave in waves:
        rows = rows_at_once(wave.rows, wave.context + wave.tokens, decode_tokens)
        logits = rows * shape.vocabulary * (8 if b == 4 else 8 + b)  # logits and their softmax
        largest = max(largest, logits)
    first = waves[0]
    rows = rows_at_once(first.rows, first.context + first.tokens, decode_tokens)
    read = rows * first.context
    heads = max(layer.heads for layer in shape.layers)
    scores = 2 * rows * heads * first.context**2 * b if reading.holds_scores else 0
    if scores > 2 * _SCORE_BYTES:
        scores = 0
    return max(largest, _layer_bytes(shape, read, b) + 8 * read * shape.hidden + scores)

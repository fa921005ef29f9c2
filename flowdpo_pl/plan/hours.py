"""Hours by phase from tokens, at the rates of a card: the least that they can take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowdpo_pl.plan import storage
from flowdpo_pl.plan.cards import Card
from flowdpo_pl.plan.memory import Use
from flowdpo_pl.plan.paths import PackedShape, ProblemTokens
from flowdpo_pl.plan.shapes import ModelShape
from flowdpo_pl.plan.working import rows_at_once


@dataclass(frozen=True)
class Phase:
    """Tokens and the seconds that they take at least."""

    tokens: int
    seconds: float


def phases(
    shape: ModelShape,
    use: Use,
    card: Card,
    tokens: ProblemTokens | None,
    trees: Mapping[str, PackedShape],
    count: int,
) -> dict[str, Phase]:
    """By phase, of `count` problems (or traces, where nothing is played)."""
    found: dict[str, Phase] = {}
    if tokens is not None:
        found["write"] = Phase(count * tokens.generated, _writing(shape, use, card, tokens, count))
        found["read"] = Phase(count * tokens.read, count * tokens.read * _forward(shape) / card.flops)
    if trees and use.learners:
        learnt_from = count * use.trees // use.problems if use.problems else count
        learnt = learnt_from * sum(tree.tokens for tree in trees.values())
        scored = learnt_from * sum(tree.scored for tree in trees.values())
        head = 2 * shape.hidden * shape.vocabulary
        forward = learnt * _forward(shape) + scored * head
        if tokens is not None:
            found["reference"] = Phase(learnt, forward / card.flops)
        # backward of frozen weights passes gradients on and makes none: as much again as forward
        passes = 3 if use.checkpointing else 2
        found["update"] = Phase(learnt, (passes * learnt * _forward(shape) + 2 * scored * head) / card.flops)
    return found


def _forward(shape: ModelShape) -> float:
    """FLOPs of a token through the decoder's matrices."""
    return 2.0 * shape.matrices


def _writing(shape: ModelShape, use: Use, card: Card, tokens: ProblemTokens, count: int) -> float:
    """A step reads all weights and the caches of its rows once, and multiplies each row with all weights."""
    weights = storage.weight_bytes(shape, use.element, use.quantization)
    a_row = _forward(shape) + 2.0 * shape.hidden * shape.vocabulary
    batches = count / max(1, use.problems)
    seconds = 0.0
    for wave in tokens.waves:
        columns = wave.context + wave.tokens
        rows = use.problems * wave.rows
        at_once = rows_at_once(rows, columns, use.decode_tokens)
        parts = -(-rows // at_once)
        mean = wave.context + wave.tokens / 2
        read = parts * weights + rows * mean * shape.cache_bytes(use.element)
        seconds += wave.tokens * max(read / card.bandwidth, rows * a_row / card.flops)
    return batches * seconds

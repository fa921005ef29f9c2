"""Hours by phase from tokens, at the rates of a card: the least that they can take."""

from __future__ import annotations

from dataclasses import dataclass

from flowdpo_pl.plan import storage
from flowdpo_pl.plan.cards import Card
from flowdpo_pl.plan.memory import Use
from flowdpo_pl.plan.shapes import ModelShape
from flowdpo_pl.plan.working import rows_at_once
from flowdpo_pl.plan.workload import Workload


@dataclass(frozen=True)
class Phase:
    """Tokens and the seconds that they take at least."""

    tokens: int
    seconds: float


def phases(shape: ModelShape, use: Use, card: Card, workload: Workload, count: int) -> dict[str, Phase]:
    """By phase, of `count` problems (or traces, where nothing is played)."""
    found: dict[str, Phase] = {}
    batches = count / workload.size
    if workload.waves:
        read = round(batches * workload.read)
        written = round(batches * workload.generated)
        found["write"] = Phase(written, batches * _writing(shape, use, card, workload))
        found["read"] = Phase(read, read * _forward(shape) / card.flops)
    if workload.packs and use.learners:
        learnt, scored = round(batches * workload.packed_tokens), round(batches * workload.scored_tokens)
        head = 2 * shape.hidden * shape.vocabulary
        forward = learnt * _forward(shape) + scored * head
        if workload.waves:
            found["reference"] = Phase(learnt, forward / card.flops)
        # backward of frozen weights passes gradients on and makes none: as much again as forward
        passes = 3 if use.checkpointing else 2
        found["update"] = Phase(learnt, (passes * learnt * _forward(shape) + 2 * scored * head) / card.flops)
    return found


def _forward(shape: ModelShape) -> float:
    """FLOPs of a token through the decoder's matrices."""
    return 2.0 * shape.matrices


def _writing(shape: ModelShape, use: Use, card: Card, workload: Workload) -> float:
    """Of a batch: a step reads all weights and the caches of its rows once, and multiplies each row with all
    weights."""
    weights = storage.weight_bytes(shape, use.element, use.quantization)
    a_row = _forward(shape) + 2.0 * shape.hidden * shape.vocabulary
    seconds = 0.0
    for wave in workload.waves:
        parts = -(-wave.rows // rows_at_once(wave.rows, wave.context + wave.tokens, use.decode_tokens))
        mean = wave.context + wave.tokens / 2
        read = parts * weights + wave.rows * mean * shape.cache_bytes(use.element)
        seconds += wave.tokens * max(read / card.bandwidth, wave.rows * a_row / card.flops)
    return seconds

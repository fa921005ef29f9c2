"""Hours by phase from tokens, at the rates of a card: the least that they can take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowdpo_pl.learn.objective import Objective
from flowdpo_pl.plan import storage
from flowdpo_pl.plan.cards import Card
from flowdpo_pl.plan.memory import Use
from flowdpo_pl.plan.shapes import ModelShape
from flowdpo_pl.plan.working import rows_at_once
from flowdpo_pl.plan.workload import Workload
from flowdpo_pl.types import Agent


@dataclass(frozen=True)
class Phase:
    """Tokens and the seconds that they take at least."""

    tokens: int
    seconds: float

    def __add__(self, other: Phase) -> Phase:
        return Phase(self.tokens + other.tokens, self.seconds + other.seconds)


def phases(
    shape: ModelShape,
    use: Use,
    card: Card,
    workload: Workload,
    count: int,
    objectives: Mapping[Agent, Objective],
) -> dict[str, Phase]:
    """By phase, of `count` problems (or traces, where nothing is played)."""
    found: dict[str, Phase] = {}
    batches = count / workload.size
    if workload.waves:
        read = round(batches * workload.read)
        written = round(batches * workload.generated)
        found["write"] = Phase(written, batches * _writing(shape, use, card, workload))
        found["read"] = Phase(read, read * _forward(shape) / card.flops)
    if workload.packs and use.learners:
        head = 2 * shape.hidden * shape.vocabulary
        # backward of frozen weights passes gradients on and makes none: as much again as forward
        forwards = 3 if use.checkpointing else 2
        reference = update = Phase(0, 0.0)
        for agent, packs in workload.packs.items():
            objective = objectives.get(agent)
            passes = objective.passes if objective is not None else 1
            learnt = round(batches * passes * sum(pack.tokens for pack in packs))
            scored = round(batches * passes * sum(pack.scored for pack in packs))
            body, top = learnt * _forward(shape), scored * head
            before = (body + top) / passes if passes > 1 else 0.0  # what is known at the start of the batch
            update += Phase(learnt, (forwards * body + 2 * top + before) / card.flops)
            if objective is not None and objective.needs_reference:
                reference += Phase(learnt, (body + top) / card.flops)
        if reference.tokens:
            found["reference"] = reference
        found["update"] = update
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

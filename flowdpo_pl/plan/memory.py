"""The most memory that a run needs, by part: what always lies there, and the larger of play and update."""

from __future__ import annotations

from dataclasses import dataclass

from flowdpo_pl.model.quantization import Quantization
from flowdpo_pl.plan import storage, working
from flowdpo_pl.plan.shapes import ModelShape
from flowdpo_pl.plan.storage import DTYPE_BYTES
from flowdpo_pl.plan.working import Reading
from flowdpo_pl.plan.workload import Workload


@dataclass(frozen=True)
class Use:
    """The settings that memory depends on."""

    dtype: str
    quantization: Quantization | None
    rank: int
    dropout: float
    agents: int
    """That are loaded."""
    learners: int
    frozen_starts: int
    """Agents whose start is kept as their reference."""
    problems: int
    """Played together on one device; 0: nothing is played."""
    trees: int
    """Trees or rows of an update, at most, on one device; 0: nothing is learnt."""
    decode_tokens: int
    update_tokens: int
    checkpointing: bool

    @property
    def element(self) -> int:
        """Bytes of a number in the compute dtype."""
        return DTYPE_BYTES[self.dtype]


@dataclass(frozen=True)
class Machine:
    """What is there beside the run's own tensors."""

    is_cpu: bool
    libraries: int = 0
    """Bytes of a process on a CPU once its libraries are loaded; 0 on a card, whose memory they don't use."""


def memory(shape: ModelShape, use: Use, machine: Machine, workload: Workload) -> dict[str, int]:
    """Bytes by part at the peak.

    Play and update come one after the other, so of the parts that either needs for a while the larger sum
    counts, and the other's are 0.
    """
    always = _always(shape, use, machine)
    playing = _playing(shape, use, machine, workload) if workload.waves else {}
    learning = _learning(shape, use, machine, workload)
    larger = max(playing, learning, key=lambda parts: sum(parts.values()))
    names = dict.fromkeys(("caches", "rows that decode", "gradients", "activations", "logits"), 0)
    return {**always, **names, **larger}


def _always(shape: ModelShape, use: Use, machine: Machine) -> dict[str, int]:
    element, kind = use.element, use.quantization
    room = storage.decoding_bytes(shape, use.rank, element, kind) if use.problems else 0
    return {
        "libraries": machine.libraries,
        "weights": storage.weight_bytes(shape, element, kind),
        "mapped file": storage.mapped_bytes(shape, element, kind) if machine.is_cpu else 0,
        "adapters": storage.adapter_bytes(shape, use.rank, use.agents + use.frozen_starts) + room,
        "optimizer": storage.adam_bytes(shape, use.rank, use.learners),
    }


def _playing(shape: ModelShape, use: Use, machine: Machine, workload: Workload) -> dict[str, int]:
    reading = Reading(use.element, use.rank, False, False, machine.is_cpu)
    given = (shape, workload.waves, use.decode_tokens)
    return {
        "caches": workload.cached * shape.cache_bytes(use.element),
        "rows that decode": working.workspace_bytes(*given, use.element),
        "logits": working.decoding_bytes(*given, reading),
    }


def _learning(shape: ModelShape, use: Use, machine: Machine, workload: Workload) -> dict[str, int]:
    """Of the micro-batch with the longest trees, which is each agent's first."""
    reading = Reading(use.element, use.rank, use.dropout > 0, use.checkpointing, machine.is_cpu)
    largest: dict[str, int] = {}
    for packs in workload.packs.values():
        if not packs:
            continue
        longest = max(packs, key=lambda pack: pack.tokens)
        rows = max(1, min(len(packs), use.update_tokens // longest.tokens))
        parts = {
            "gradients": storage.adapter_bytes(shape, use.rank, 1),
            "activations": working.activation_bytes(shape, longest, rows, reading),
            "logits": working.scored_bytes(shape, longest, rows, use.element),
        }
        largest = max(largest, parts, key=lambda one: sum(one.values()))
    return largest

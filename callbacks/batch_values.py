"""The plain numbers that `training_step` and `validation_step` return, and how to read them.

Running values: `progressive_accuracy`, `progressive_low`, `progressive_high`, `window_accuracy`,
`window_low`, `window_high`, `window_full` (1 once the window holds its number of problems). Of this batch:
`problems`, `{agent}/pairs`, `{agent}/ties/{kind}`, `generated_tokens`, `seconds/{play,score,update}`,
`peak_memory_bytes`. Further numbers may stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

BatchValues: TypeAlias = Mapping[str, float]


def pairs_by_agent(values: BatchValues) -> dict[str, int]:
    """Numbers of preference pairs by agent, in the order of the keys."""
    return {key.removesuffix("/pairs"): int(value) for key, value in values.items() if key.endswith("/pairs")}


def ties_by_agent(values: BatchValues) -> dict[str, dict[str, int]]:
    """Numbers of nodes without a pair by agent and kind."""
    ties: dict[str, dict[str, int]] = {}
    for key, value in values.items():
        agent, found, kind = key.partition("/ties/")
        if found:
            ties.setdefault(agent, {})[kind] = int(value)
    return ties


def tokens_per_second(values: BatchValues) -> float:
    """Generated tokens per second of play (not of scoring and updating); 0 if nothing was played."""
    seconds = values.get("seconds/play", 0.0)
    return values.get("generated_tokens", 0.0) / seconds if seconds else 0.0

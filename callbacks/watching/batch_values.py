"""The plain numbers that `training_step` and `validation_step` return, and how to read them.

They are `flowdpo_pl.results.batch_numbers`, flat, since Lightning takes no dataclass: names are those of
docs/runs.md, with agents as the module names them. Further numbers may stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

BatchValues: TypeAlias = Mapping[str, float]


def pairs_by_agent(values: BatchValues) -> dict[str, int]:
    """Numbers of preference pairs by agent, in the order of the keys."""
    return {key.removesuffix("/pairs"): int(value) for key, value in values.items() if key.endswith("/pairs")}


def groups_by_agent(values: BatchValues) -> dict[str, dict[str, int]]:
    """Numbers of groups by agent, `all` and those that `taught`; nothing where pairs are learnt from."""
    found = {}
    for key, taught in values.items():
        agent, ends, _ = key.partition("/groups_taught")
        if ends:
            found[agent] = {"all": int(values[f"{agent}/groups"]), "taught": int(taught)}
    return found


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

"""Keys and values of what each agent has read: every prefix is computed once per agent.

A stored sequence keeps only what it does not share with the one it grew from, so a fork costs its
own tokens. Look-up is by content (longest common prefix among the problem's sequences), so a wrong
hit is impossible and nobody keeps handles.

Shapes: Y layers, K key/value heads, L tokens, D head size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flowdpo_pl.types import Agent

Ids = NDArray[np.int64]
States: TypeAlias = Tensor | tuple[Tensor, ...]
"""`[K, L, D]` by layer; one tensor `[Y, K, L, D]` where all layers have the same shape."""
COMMON = ""
"""In place of a problem's id: how all problems begin."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A sequence whose keys and values are known; both states cover its tokens from `start` on."""

    token_ids: Ids
    start: int
    keys: States
    """[K, L - start, D] by layer."""
    values: States
    parent: Stored | None

    def copy_into(self, keys: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        """Write the states of the first tokens into both, `[K, length, D]` for each layer."""
        node: Stored | None = self
        end = keys[0].shape[1]
        while node is not None and end > 0:
            if node.start < end:
                for layer, (own_keys, own_values) in enumerate(zip(node.keys, node.values, strict=True)):
                    keys[layer][:, node.start : end] = own_keys[:, : end - node.start]
                    values[layer][:, node.start : end] = own_values[:, : end - node.start]
                end = node.start
            node = node.parent


class PrefixCache:
    """All stored sequences, by agent and problem, the newest of each path."""

    def __init__(self) -> None:
        self._sequences: defaultdict[tuple[Agent, str], dict[Hashable, Stored]] = defaultdict(dict)

    def longest(self, agent: Agent, problem_id: str, token_ids: Ids) -> tuple[Stored | None, int]:
        """The stored sequence that shares most with `token_ids`, and how many tokens it shares."""
        best: Stored | None = None
        shared = 0
        for name in (problem_id, COMMON):
            for stored in self._sequences.get((agent, name), {}).values():
                length = common_prefix(stored.token_ids, token_ids)
                if length > shared:
                    best, shared = stored, length
        return best, shared

    def knows(self, agent: Agent, problem_id: str) -> bool:
        """Whether anything of this problem is stored."""
        return bool(self._sequences.get((agent, problem_id)))

    def store(self, agent: Agent, problem_id: str, path: Hashable, stored: Stored) -> None:
        """In the place of what was stored of this path."""
        self._sequences[agent, problem_id][path] = stored

    def clear(self) -> None:
        self._sequences.clear()


def common_prefix(a: Ids, b: Ids) -> int:
    """Number of leading elements that are equal."""
    length = min(len(a), len(b))
    differs = a[:length] != b[:length]
    return int(differs.argmax()) if differs.any() else length

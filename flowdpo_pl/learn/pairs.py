"""Mining: moves at a node whose endings differ in their scores become pairs; ties are never trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flowdpo_pl.types import Agent, PreferencePair, RolloutTree


@dataclass(frozen=True)
class Mined:
    """What a batch of rollout trees taught."""

    pairs: tuple[PreferencePair, ...]

    def of(self, agent: Agent) -> tuple[PreferencePair, ...]:
        """The pairs of one agent, in stream order."""
        return tuple(pair for pair in self.pairs if pair.agent == agent)


def mine(trees: Iterable[RolloutTree], margin: float = 0.0) -> Mined:
    """Pairs of these trees (arXiv 2410.22304, section 3: the better of two moves).

    Args:
        trees: of a batch.
        margin: endings whose scores differ by no more are ties.
    """
    return Mined(tuple(pair for tree in trees for pair in tree.pairs(margin)))

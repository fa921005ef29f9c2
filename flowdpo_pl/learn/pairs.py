"""Mining: forks whose endings differ in correctness become preference pairs; ties are never trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flowdpo_pl.types import Agent, Fork, PreferencePair, RolloutTree


@dataclass(frozen=True)
class Mined:
    """What a batch of rollout trees taught."""

    pairs: tuple[PreferencePair, ...]

    def of(self, agent: Agent) -> tuple[PreferencePair, ...]:
        """The pairs of one agent, in stream order."""
        return tuple(pair for pair in self.pairs if pair.agent == agent)


def mine(trees: Iterable[RolloutTree]) -> Mined:
    """Pairs of these trees (arXiv 2410.22304, section 3: the better of two moves)."""
    return Mined(tuple(_pair(tree, fork) for tree in trees for fork in tree.forks if fork.flipped))


def _pair(tree: RolloutTree, fork: Fork) -> PreferencePair:
    better, worse = (fork.taken, fork.other) if fork.taken_correct else (fork.other, fork.taken)
    return PreferencePair(
        problem=tree.problem,
        node=fork.node,
        agent=fork.taken.agent,
        prefix=tree.main.moves[: fork.node],
        chosen=better,
        rejected=worse,
    )

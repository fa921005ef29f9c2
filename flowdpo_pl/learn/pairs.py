"""Mining: forks whose endings differ in correctness become preference pairs, the rest are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from flowdpo_pl.types import Agent, Fork, PreferencePair, RolloutTree, Tie


@dataclass(frozen=True)
class Mined:
    """What a batch of rollout trees taught."""

    pairs: tuple[PreferencePair, ...]
    ties: Counter[tuple[Agent, Tie]]
    """Nodes that gave no pair, by agent and reason; ties are never trained on."""

    def of(self, agent: Agent) -> tuple[PreferencePair, ...]:
        """The pairs of one agent, in stream order."""
        return tuple(pair for pair in self.pairs if pair.agent == agent)


def mine(trees: Iterable[RolloutTree]) -> Mined:
    """Pairs and ties of these trees (arXiv 2410.22304, section 3: the better of two moves)."""
    pairs: list[PreferencePair] = []
    ties: Counter[tuple[Agent, Tie]] = Counter()
    for tree in trees:
        for fork in tree.forks:
            if fork.tie is None:
                pairs.append(_pair(tree, fork))
            else:
                ties[fork.taken.agent, fork.tie] += 1
        for node in tree.nodes_without_alternative:
            ties[tree.main.moves[node].agent, Tie.NO_ALTERNATIVE] += 1
    return Mined(tuple(pairs), ties)


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

"""Mining: the moves made at a node and the returns of their endings become one group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flowdpo_pl.types import Agent, Move, Problem, RolloutTree


@dataclass(frozen=True)
class MoveGroup:
    """Moves of one agent after the same prefix, each played to its end.

    Of written moves: independent draws of one policy, repeats among them. Of a choice: every word once.
    """

    problem: Problem
    node: int
    agent: Agent
    prefix: tuple[Move, ...]
    moves: tuple[Move, ...]
    """The main chain's first."""
    returns: tuple[float, ...]
    """Scores of their endings, in [0, 1]."""

    @property
    def of_words(self) -> bool:
        return self.moves[0].option is not None

    @property
    def teaches(self) -> bool:
        """Whether the returns differ; if not, no move was better than another."""
        return len(set(self.returns)) > 1


def groups(trees: Iterable[RolloutTree]) -> Iterator[MoveGroup]:
    """The group of every node of these trees where `NodeGroups` played further moves, in stream order."""
    for tree in trees:
        for node in sorted({fork.node for fork in tree.forks}):
            forks = [fork for fork in tree.forks if fork.node == node]
            yield MoveGroup(
                problem=tree.problem,
                node=node,
                agent=tree.main.moves[node].agent,
                prefix=tree.main.moves[:node],
                moves=(tree.main.moves[node], *(fork.other for fork in forks)),
                returns=(tree.main.score, *(fork.branch.score for fork in forks)),
            )

r"""Alternatives at every second node alone: in the paper's flow at Stop's, or at Answer's.

    python -m flowdpo_pl fit --config configs/quickstart.yaml \
        --model.exploration=examples.exploration.EverySecondNode

A node is a move's place on the main chain, from 0. There Answer moves at 0, 2, 4, … and Stop at 1, 3, 5, …,
so this plays half of the branches, and only Stop gets pairs. In another flow other agents move there.
"""

from __future__ import annotations

from dataclasses import dataclass

from flowdpo_pl import Exploration, Problem
from flowdpo_pl.draws import Draws


@dataclass(frozen=True)
class EverySecondNode(Exploration):
    """Another move at every second node of the main chain, played to its end."""

    first: int = 1
    """The first node that gets an alternative: 1 for Stop's, 0 for Answer's."""

    def nodes(self, draws: Draws, problem: Problem, max_moves: int) -> frozenset[int]:
        """A function of these three alone: what is random comes from `draws`, or a resume would differ."""
        return frozenset(range(self.first, max_moves, 2))

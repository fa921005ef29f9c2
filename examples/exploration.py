r"""Alternatives at every second node alone: in the paper's flow at Stop's, or at Answer's.

    python -m flowdpo_pl fit --config configs/quickstart.yaml \
        --model.exploration=examples.exploration.EverySecondNode

A node is a move's place on the main chain: its `depth`, from 0, the `agent` whose move it is, and which
`turn` of this agent. In the paper's flow Answer moves at depths 0, 2, 4, … and Stop at 1, 3, 5, …, so this
plays half of the branches, and only Stop gets pairs. For some agents or depths `NodeAlternatives` will do.
"""

from __future__ import annotations

from dataclasses import dataclass

from flowdpo_pl import Exploration, Flow, Node, Problem
from flowdpo_pl.draws import Draws


@dataclass(frozen=True)
class EverySecondNode(Exploration):
    """Another move at every second node of the main chain, played to its end."""

    first: int = 1
    """The first node that gets an alternative: 1 for Stop's, 0 for Answer's."""

    def explores(self, node: Node, problem: Problem, flow: Flow, draws: Draws) -> bool:
        """A function of these four alone: what is random comes from `draws`, or a resume would differ."""
        return node.depth >= self.first and (node.depth - self.first) % 2 == 0

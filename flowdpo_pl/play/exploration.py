"""What is played beside a problem's main chain, so that endings can be compared.

Wherever another path leaves the main chain, the two moves there become a pair if the endings differ in
correctness: how paths are compared is the same for every kind of exploration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import LIMIT, UserError, require_within
from flowdpo_pl.types import Problem


class Exploration:
    """Nothing beside the main chain; subclasses add alternatives at its nodes, or further paths."""

    further_paths: ClassVar[int] = 0
    """Independent paths from the problem on, each with draws of its own."""

    def nodes(self, draws: Draws, problem: Problem, max_moves: int) -> frozenset[int]:
        """The main chain's nodes that get an alternative, among `0 .. max_moves - 1`."""
        return frozenset()


@dataclass(frozen=True)
class NodeAlternatives(Exploration):
    """Another move at each node of the main chain, played to its end (arXiv 2410.22304, section 3)."""

    alternatives: int | None = None
    """Alternatives tried per problem at most; None: one at every node. Fewer are chosen at random among
    the flow's possible nodes."""

    def __post_init__(self) -> None:
        require_within(LIMIT, {"alternatives": self.alternatives})

    def nodes(self, draws: Draws, problem: Problem, max_moves: int) -> frozenset[int]:
        if self.alternatives is None or self.alternatives >= max_moves:
            return frozenset(range(max_moves))
        order = sorted(range(max_moves), key=lambda node: draws.uniform(problem.id, "explore", node))
        return frozenset(order[: self.alternatives])


@dataclass(frozen=True)
class WholeTrajectories(Exploration):
    """A second, independent sample of the whole flow: the usual way to get pairs, as a control.

    A pair needs a common prefix, and two paths have none beyond the first node where they differ. So a
    problem gives at most one pair, of the agent that moves there: the one that writes if the chunks differ,
    the one that chooses if it judged the same draft in two ways. Two equal paths have no such node.
    """

    further_paths: ClassVar[int] = 1


def require_alternatives(temperature: float) -> None:
    """
    Raises:
        UserError: at this temperature of play no move has an alternative, so that `fit` would learn nothing.
    """
    if temperature == 0:
        raise UserError(
            "model.sampling.temperature is 0, where no move has an alternative and nothing is learnt: "
            "give `fit` more than 0."
        )

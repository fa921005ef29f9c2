"""What is played beside a problem's main chain, so that endings can be compared.

Wherever another path leaves the main chain, the two moves there become a pair if the endings differ in
correctness: how paths are compared is the same for every kind of exploration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import COUNT, GROUP, LIMIT, NOT_NEGATIVE, UserError, require_within, some_of
from flowdpo_pl.play.flow import Choose, Flow, Node, Turn
from flowdpo_pl.types import Agent, Problem


class Exploration:
    """Nothing beside the main chain; subclasses add alternatives at its nodes, or further paths."""

    further_paths: ClassVar[int] = 0
    """Independent paths from the problem on, each with draws of its own."""
    independent: ClassVar[bool] = False
    """Whether what is tried at a node is drawn as the main chain's move was, repeats included, and of a
    choice every word; else only other moves are."""

    def others(self, turn: Turn) -> int:
        """How many moves are tried beside the main chain's at an explored node; a choice has fewer words."""
        return 1

    def explores(self, node: Node, problem: Problem, flow: Flow, draws: Draws) -> bool:
        """Whether this node of the problem's main chain gets an alternative.

        A function of these four alone, asked anew whenever a node is reached: what is random comes from
        `draws`, or a resume would differ. `flow.nodes` are all nodes that there may be.
        """
        return False

    def require_fits(self, flow: Flow) -> None:
        """
        Raises:
            UserError: a setting has no meaning in this flow.
        """


class NodeExploration(Exploration):
    """Further moves at nodes of the main chain, all of them or only those of some agents and depths."""

    agents: tuple[Agent, ...] | None
    depths: tuple[int, ...] | None

    @property
    def nodes(self) -> int | None:
        """How many of them at most; None: all."""
        return None

    def explores(self, node: Node, problem: Problem, flow: Flow, draws: Draws) -> bool:
        if not self._may(node):
            return False
        if self.nodes is None:
            return True
        depths = sorted({possible.depth for possible in flow.nodes if self._may(possible)})
        depths.sort(key=lambda depth: draws.uniform(problem.id, "explore", depth))
        return node.depth in depths[: self.nodes]

    def require_fits(self, flow: Flow) -> None:
        flow.require_known("model.exploration.agents", self.agents or ())
        if not any(map(self._may, flow.nodes)):
            nodes = some_of([f"{node.depth} ({node.agent})" for node in flow.nodes])
            raise UserError(
                f"model.exploration leaves no node to explore (agents {_all_or(self.agents)}, depths "
                f"{_all_or(self.depths)}): name some of this flow's, {nodes}."
            )

    def _may(self, node: Node) -> bool:
        of_agent = self.agents is None or node.agent in self.agents
        return of_agent and (self.depths is None or node.depth in self.depths)


@dataclass(frozen=True)
class NodeAlternatives(NodeExploration):
    """Another move at each node of the main chain, played to its end (arXiv 2410.22304, section 3).

    All of them, or only those of some agents and at some depths. Several written ones at a node are drawn
    independently, each given that it is not the main chain's move, so two of them may be the same; several
    words, one after another from what is left.
    """

    alternatives: int | None = None
    """Nodes of a problem that get one at most; None: all. Fewer are chosen at random among the flow's
    possible nodes."""
    agents: tuple[Agent, ...] | None = None
    """Whose nodes get one; None: everybody's."""
    depths: tuple[int, ...] | None = None
    """Depths of nodes that get one, in moves before them, from 0; None: all."""
    each: int = 1
    """Alternatives at such a node."""

    def __post_init__(self) -> None:
        require_within(LIMIT, {"alternatives": self.alternatives})
        require_within(COUNT, {"each": self.each})
        for depth in self.depths or ():
            require_within(NOT_NEGATIVE, {"depths": depth})

    @property
    def nodes(self) -> int | None:
        return self.alternatives

    def others(self, turn: Turn) -> int:
        return min(self.each, turn.words - 1) if isinstance(turn, Choose) else self.each


@dataclass(frozen=True)
class NodeGroups(NodeExploration):
    """Draws from one policy at each node of the main chain, each played to its end: what a policy gradient
    reads.

    Where an agent writes, its own draws and the main chain's are independent, and a repeat is one draw more.
    Where it chooses, every word is played once.
    """

    independent: ClassVar[bool] = True

    draws: int = 4
    """Moves in a group where an agent writes, the main chain's among them."""
    nodes: int | None = None
    """Nodes of a problem that get a group at most; None: all. Fewer are chosen at random among the flow's
    possible nodes."""
    agents: tuple[Agent, ...] | None = None
    """Whose nodes get one; None: everybody's."""
    depths: tuple[int, ...] | None = None
    """Depths of nodes that get one, in moves before them, from 0; None: all."""

    def __post_init__(self) -> None:
        require_within(GROUP, {"draws": self.draws})
        require_within(LIMIT, {"nodes": self.nodes})
        for depth in self.depths or ():
            require_within(NOT_NEGATIVE, {"depths": depth})

    def others(self, turn: Turn) -> int:
        return turn.words - 1 if isinstance(turn, Choose) else self.draws - 1


@dataclass(frozen=True)
class WholeTrajectories(Exploration):
    """A second, independent sample of the whole flow: the usual way to get pairs, as a control.

    A pair needs a common prefix, and two paths have none beyond the first node where they differ. So a
    problem gives at most one pair, of the agent that moves there: the one that writes if the chunks differ,
    the one that chooses if it judged the same draft in two ways. Two equal paths have no such node.
    """

    further_paths: ClassVar[int] = 1


def _all_or(chosen: Sequence[object] | None) -> str:
    return "all" if chosen is None else str(list(chosen))


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

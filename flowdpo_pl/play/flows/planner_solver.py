"""One agent plans, another one carries the plan out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from flowdpo_pl.errors import COUNT, require_within
from flowdpo_pl.play.flow import Flow, Turn, Write
from flowdpo_pl.types import Agent, Move


@dataclass(frozen=True)
class PlannerSolverFlow(Flow):
    """Planner writes a plan, Solver reads it (`{planner}` in its prompt) and writes the answer."""

    plan_tokens: int = 80
    """Tokens a plan has at most."""
    answer_tokens: int = 480
    """Tokens an answer has at most."""

    agents: ClassVar[tuple[Agent, ...]] = ("planner", "solver")
    writer: ClassVar[Agent] = "solver"

    def __post_init__(self) -> None:
        require_within(COUNT, {"plan_tokens": self.plan_tokens, "answer_tokens": self.answer_tokens})

    def turn(self, moves: Sequence[Move]) -> Turn | None:
        turns = (Write("planner", self.plan_tokens), Write("solver", self.answer_tokens), None)
        return turns[len(moves)]

"""A solver and a critic who sends answers back, with a note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from flowdpo_pl.errors import COUNT, NOT_NEGATIVE, require_within
from flowdpo_pl.play.flow import Choose, Flow, Turn, Write
from flowdpo_pl.types import Agent, Move

SOLVER: Agent = "solver"
CRITIC: Agent = "critic"
KEEP = 0
"""Index of Critic's word for an answer that stays; the other one sends it back."""


@dataclass(frozen=True)
class CriticFlow(Flow):
    """Solver writes an answer; Critic reads it (`{partial}`) and keeps it or sends it back with a note.

    Solver then reads what it tried (`{solver}`) and the note (`{critic}`), both empty at first, and writes a
    new answer from nothing. After the last revision the answer stays without asking Critic.
    """

    draft_tokens: int = 480
    """Tokens an answer has at most."""
    note_tokens: int = 48
    """Tokens a note has at most; 0: Critic only says its word."""
    max_revisions: int = 1
    """Times an answer can be sent back."""

    agents: ClassVar[tuple[Agent, ...]] = (SOLVER, CRITIC)
    writer: ClassVar[Agent] = SOLVER

    def __post_init__(self) -> None:
        require_within(COUNT, {"draft_tokens": self.draft_tokens, "max_revisions": self.max_revisions})
        require_within(NOT_NEGATIVE, {"note_tokens": self.note_tokens})

    def turn(self, moves: Sequence[Move]) -> Turn | None:
        if not moves:
            return Write(SOLVER, self.draft_tokens)
        last = moves[-1]
        if last.agent == SOLVER:
            revisions = sum(move.agent == SOLVER for move in moves) - 1
            return Choose(CRITIC) if revisions < self.max_revisions else None
        if last.option == KEEP:
            return None
        if last.option is not None and self.note_tokens:
            return Write(CRITIC, self.note_tokens)
        return Write(SOLVER, self.draft_tokens)

    def answer(self, moves: Sequence[Move]) -> Sequence[Move]:
        """The latest draft."""
        return [move for move in moves if move.agent == SOLVER][-1:]

    def continues(self, agent: Agent, moves: Sequence[Move]) -> Sequence[Move]:
        """Critic's note goes on from its word; every draft begins anew."""
        return moves[-1:] if moves and moves[-1].agent == agent == CRITIC else ()

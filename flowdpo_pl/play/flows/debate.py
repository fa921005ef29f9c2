"""Two solvers and a judge who chooses between their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from flowdpo_pl.errors import COUNT, require_within
from flowdpo_pl.play.flow import Choose, Flow, Turn, Write
from flowdpo_pl.types import Agent, Move


@dataclass(frozen=True)
class DebateFlow(Flow):
    """Alice and Bob each write an answer; Judge reads both (`{alice}`, `{bob}`) and chooses one.

    Judge's first word stands for Alice, the second for Bob. Alice learns from whole answers (`SFTModule`).
    """

    draft_tokens: int = 480
    """Tokens an answer has at most."""

    agents: ClassVar[tuple[Agent, ...]] = ("alice", "bob", "judge")
    writer: ClassVar[Agent] = "alice"

    def __post_init__(self) -> None:
        require_within(COUNT, {"draft_tokens": self.draft_tokens})

    def turn(self, moves: Sequence[Move]) -> Turn | None:
        drafts = (Write("alice", self.draft_tokens), Write("bob", self.draft_tokens))
        return (*drafts, Choose("judge"), None)[len(moves)]

    def answer(self, moves: Sequence[Move]) -> Sequence[Move]:
        """The draft that was chosen; nothing before that."""
        if len(moves) < 3 or (chosen := moves[2].option) is None:
            return ()
        return (moves[chosen],)

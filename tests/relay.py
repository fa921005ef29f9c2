"""A flow that asks for everything a flow can: words in any place, three words to choose from, a chooser that
writes on, and an agent without an adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from flowdpo_pl.play.agent_prompt import AgentPrompt
from flowdpo_pl.play.flow import Choose, Flow, Turn, Write
from flowdpo_pl.types import Agent, Move

ENOUGH, WITH_A_NOTE, PLAIN = range(3)


@dataclass(frozen=True)
class RelayFlow(Flow):
    """x drafts; y says enough, or writes a note behind its word, or not; z (the base) adds to it; x again."""

    rounds: int = 2

    agents: ClassVar[tuple[Agent, ...]] = ("x", "y", "z")
    writer: ClassVar[Agent] = "x"

    def turn(self, moves: Sequence[Move]) -> Turn | None:
        if not moves or moves[-1].agent == "z":
            return Write("x", 4)
        last = moves[-1]
        if last.agent == "x":
            said = sum(move.option is not None for move in moves)
            return Choose("y", words=3) if said < self.rounds else None
        if last.option == ENOUGH:
            return None
        return Write("y", 3) if last.option == WITH_A_NOTE else Write("z", 3)

    def answer(self, moves: Sequence[Move]) -> Sequence[Move]:
        return [move for move in moves if move.agent == "x"][-1:]

    def continues(self, agent: Agent, moves: Sequence[Move]) -> Sequence[Move]:
        return moves[-1:] if agent == "y" and moves and moves[-1].option is not None else ()


RELAY = RelayFlow()
RELAY_PROMPTS = {
    "x": AgentPrompt("the problem : {question} so far : {x.all} is {z} answer ?"),
    "y": AgentPrompt("{partial} is it {z} finished ? {question}", options=("Yes", "No", "is")),
    "z": AgentPrompt("so {y.all} far {question} {y} it"),
}


@dataclass(frozen=True)
class PairFlow(Flow):
    """x writes in chunks, y says whether it is enough: the paper's rules, and nobody is called as there."""

    chunk_tokens: int = 12
    max_chunks: int = 4

    agents: ClassVar[tuple[Agent, ...]] = ("x", "y")
    writer: ClassVar[Agent] = "x"

    def turn(self, moves: Sequence[Move]) -> Turn | None:
        if moves and moves[-1].option == 0:
            return None
        if moves and moves[-1].agent == "x":
            return Choose("y") if len(moves) < 2 * self.max_chunks - 1 else None
        return Write("x", self.chunk_tokens)

"""The flow of the paper: Answer writes in chunks, Stop decides after each whether to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from flowdpo_pl.errors import COUNT, require_within
from flowdpo_pl.play.flow import Choose, Flow, Turn, Write
from flowdpo_pl.types import Agent, Move

ANSWER: Agent = "answer"
STOP: Agent = "stop"
FINISHED = 0
"""Index of Stop's word for "finished" among its two options; the other one goes on."""


@dataclass(frozen=True)
class AnswerStopFlow(Flow):
    """Answer writes in chunks, Stop decides after each whether to go on.

    After the last chunk the flow ends without asking Stop (arXiv 2410.22304, section 3).
    """

    chunk_tokens: int = 160
    """Tokens an answer chunk has at most (not the 160 problems of a chunk of data)."""
    max_chunks: int = 6
    """Chunks an answer has at most."""

    agents: ClassVar[tuple[Agent, ...]] = (ANSWER, STOP)
    writer: ClassVar[Agent] = ANSWER

    def __post_init__(self) -> None:
        require_within(COUNT, {"chunk_tokens": self.chunk_tokens, "max_chunks": self.max_chunks})

    def turn(self, moves: Sequence[Move]) -> Turn | None:
        if not moves:
            return Write(ANSWER, self.chunk_tokens)
        last = moves[-1]
        if last.agent == STOP:
            return None if last.option == FINISHED else Write(ANSWER, self.chunk_tokens)
        chunks = sum(move.agent == ANSWER for move in moves)
        return Choose(STOP) if chunks < self.max_chunks else None

"""The rules of a flow: whose turn it is and when it is over. Rules hold no weights.

Another kind of flow (another agent, another order of turns) is another subclass
of `Flow`; nothing else in the project names Answer or Stop as a rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import ANSWER, STOP, Agent, Move

FINISHED = 0
"""Index of Stop's verdict "finished" among its two options; the other one goes on."""


@dataclass(frozen=True, slots=True)
class Write:
    """The agent's turn to write at most `max_tokens` tokens; an end token ends it sooner."""

    agent: Agent
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Choose:
    """The agent's turn to choose one of its two option words."""

    agent: Agent


Turn = Write | Choose


class Flow(ABC):
    """What rollouts need to know of a flow."""

    agents: ClassVar[tuple[Agent, ...]]

    @property
    @abstractmethod
    def max_moves(self) -> int:
        """The longest possible path, in moves."""

    @property
    @abstractmethod
    def max_written_tokens(self) -> int:
        """The longest possible answer, in tokens."""

    @abstractmethod
    def turn(self, moves: Sequence[Move]) -> Turn | None:
        """Whose turn follows these moves; None when the flow is over."""


@dataclass(frozen=True)
class AnswerStopFlow(Flow):
    """The flow of the paper: Answer writes in chunks, Stop decides after each whether to go on.

    After the last chunk the flow ends without asking Stop (arXiv 2410.22304, section 3).
    """

    chunk_tokens: int = 160
    """Tokens an answer chunk has at most (not the 160 prompts of a chunk of data)."""
    max_chunks: int = 6
    """Chunks an answer has at most."""

    agents: ClassVar[tuple[Agent, ...]] = (ANSWER, STOP)

    def __post_init__(self) -> None:
        for name in ("chunk_tokens", "max_chunks"):
            if getattr(self, name) < 1:
                raise UserError(f"flow.{name} is {getattr(self, name)}: give at least 1.")

    @property
    def max_moves(self) -> int:
        return 2 * self.max_chunks - 1

    @property
    def max_written_tokens(self) -> int:
        return self.chunk_tokens * self.max_chunks

    def turn(self, moves: Sequence[Move]) -> Turn | None:
        if not moves:
            return Write(ANSWER, self.chunk_tokens)
        last = moves[-1]
        if last.agent == STOP:
            return None if last.option == FINISHED else Write(ANSWER, self.chunk_tokens)
        chunks = sum(move.agent == ANSWER for move in moves)
        return Choose(STOP) if chunks < self.max_chunks else None


@dataclass(frozen=True)
class SingleFlow(Flow):
    """One agent writes the whole answer in one go: the single model that the flow is compared with."""

    max_tokens: int = 960
    """Tokens an answer has at most."""

    agents: ClassVar[tuple[Agent, ...]] = (ANSWER,)

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise UserError(f"flow.max_tokens is {self.max_tokens}: give at least 1.")

    @property
    def max_moves(self) -> int:
        return 1

    @property
    def max_written_tokens(self) -> int:
        return self.max_tokens

    def turn(self, moves: Sequence[Move]) -> Turn | None:
        return None if moves else Write(ANSWER, self.max_tokens)

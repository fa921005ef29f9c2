"""The rules of a flow: whose turn it is and when it is over. Rules hold no weights.

Another kind of flow (another agent, another order of turns) is another subclass of `Flow`. The names of
agents are a flow's own: everything else asks it who plays, who writes the answer, and which move closes it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from flowdpo_pl.errors import COUNT, UserError, require_within
from flowdpo_pl.types import Agent, Move

ANSWER: Agent = "answer"
STOP: Agent = "stop"
FINISHED = 0
"""Index of Stop's word for "finished" among its two options; the other one goes on."""


@dataclass(frozen=True, slots=True)
class Write:
    """The agent's turn to write at most `max_tokens` tokens; an end token ends it sooner."""

    agent: Agent
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Choose:
    """The agent's turn to choose one of its two words."""

    agent: Agent


Turn = Write | Choose


class Flow(ABC):
    """What the rest of the project needs to know of a flow."""

    agents: ClassVar[tuple[Agent, ...]]
    """Who plays. An agent is called so everywhere: its adapter, its prompt, its numbers in logs."""
    writer: ClassVar[Agent]
    """Whose words are the answer."""

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

    @abstractmethod
    def closes(self, move: Move) -> bool:
        """Whether this choice says that the answer is finished."""

    def require_known(self, key: str, agents: Iterable[Agent]) -> None:
        """
        Raises:
            UserError: the setting `key` names an agent that this flow has not.
        """
        if unknown := sorted(set(agents) - set(self.agents)):
            raise UserError(f"{key} names '{unknown[0]}', but the flow's agents are {list(self.agents)}.")


@dataclass(frozen=True)
class AnswerStopFlow(Flow):
    """The flow of the paper: Answer writes in chunks, Stop decides after each whether to go on.

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
            return None if self.closes(last) else Write(ANSWER, self.chunk_tokens)
        chunks = sum(move.agent == ANSWER for move in moves)
        return Choose(STOP) if chunks < self.max_chunks else None

    def closes(self, move: Move) -> bool:
        return move.agent == STOP and move.option == FINISHED


@dataclass(frozen=True)
class SingleFlow(Flow):
    """One agent writes the whole answer in one go: the single model that the flow is compared with."""

    max_tokens: int = 960
    """Tokens an answer has at most."""

    agents: ClassVar[tuple[Agent, ...]] = (ANSWER,)
    writer: ClassVar[Agent] = ANSWER

    def __post_init__(self) -> None:
        require_within(COUNT, {"max_tokens": self.max_tokens})

    @property
    def max_moves(self) -> int:
        return 1

    @property
    def max_written_tokens(self) -> int:
        return self.max_tokens

    def turn(self, moves: Sequence[Move]) -> Turn | None:
        return None if moves else Write(ANSWER, self.max_tokens)

    def closes(self, move: Move) -> bool:
        return False

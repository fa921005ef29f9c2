"""What an agent reads, put together of token ids: the parts of its prompt, what was said between them, and
the words that it goes on from in its own turn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from flowdpo_pl.play.agent_prompt import PARTIAL, Place, agent_of
from flowdpo_pl.play.flow import Flow, Write
from flowdpo_pl.types import Agent, Move, Problem

Ids: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """What an agent reads before it moves."""

    prefix: Ids
    """Up to the end of the last words that were spliced in."""
    suffix: Ids
    """What follows them."""

    @property
    def token_ids(self) -> Ids:
        """All of it."""
        return self.prefix + self.suffix


class Contexts(ABC):
    """The contexts of a flow's agents. Nothing is decoded and encoded again, and nothing is read twice."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    @abstractmethod
    def spliced(self, agent: Agent) -> tuple[Place, ...]:
        """The places of the agent's prompt where token ids go, in order."""

    @abstractmethod
    def around(self, agent: Agent, problem: Problem) -> tuple[Ids, ...]:
        """Token ids before, between and behind these places: one part more than there are places."""

    @abstractmethod
    def ended(self, move: Move) -> bool:
        """Whether the agent ended this written move itself, with an end token."""

    def context(self, agent: Agent, problem: Problem, moves: Sequence[Move]) -> Context:
        """What `agent` reads after `moves` on `problem`."""
        first, *others = self.around(agent, problem)
        shown, own = self.read_by(agent, moves)
        prefix, suffix = list(first), ()  # type: tuple[list[int], Ids]
        for said, after in zip(shown, others, strict=True):
            prefix += [*suffix, *self.words(said)]
            suffix = after
        if own or not shown:
            return Context((*prefix, *suffix, *self.words(own)), ())
        return Context(tuple(prefix), suffix)

    def words(self, moves: Iterable[Move]) -> Ids:
        """Token ids of these moves one after another, without their end tokens."""
        ids: list[int] = []
        for move in moves:
            ids.extend(move.token_ids[:-1] if self.ended(move) else move.token_ids)
        return tuple(ids)

    def room(self, agent: Agent) -> int:
        """Tokens that the agent reads and writes at most at one turn, beside its prompt."""
        most = 0
        for position in self.flow.positions:
            if position.turn is None or position.turn.agent != agent:
                continue
            shown, own = self.read_by(agent, position.moves)
            read = sum(len(move.token_ids) for moves in (*shown, own) for move in moves)
            written = position.turn.max_tokens if isinstance(position.turn, Write) else 0
            most = max(most, read + written)
        return most

    def goes_on(self, agent: Agent) -> bool:
        """Whether the agent's turn may begin with words that were said before."""
        turns = (p for p in self.flow.positions if p.turn is not None and p.turn.agent == agent)
        return any(self.read_by(agent, position.moves)[1] for position in turns)

    def read_by(self, agent: Agent, moves: Sequence[Move]) -> tuple[list[Sequence[Move]], Sequence[Move]]:
        """The moves whose words go into each place of the agent's prompt, and those that it goes on from."""
        shown = [self._said_in(place, moves) for place in self.spliced(agent)]
        known = {id(move) for said in shown for move in said}
        return shown, [move for move in self.flow.continues(agent, moves) if id(move) not in known]

    def _said_in(self, place: Place, moves: Sequence[Move]) -> Sequence[Move]:
        if place == PARTIAL:
            return self.flow.answer(moves)
        agent, all_ = agent_of(place)
        own = [move for move in moves if move.agent == agent]
        if all_:
            return own
        return [move for move in own if move.option is None][-1:] or own[-1:]

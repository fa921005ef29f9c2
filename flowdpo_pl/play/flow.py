"""The rules of a flow: whose turn it is, which moves make up the answer, and when it is over.

Another kind of flow (other agents, another order of turns) is another subclass of `Flow`; those that ship are
in `play/flows`. Rules hold no weights and no prompts. The names of agents are a flow's own: everything else
asks it who plays. docs/flows.md builds one line by line.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from typing import ClassVar

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Agent, Move

_MOST_POSITIONS = 20_000
_MOST_MOVES = 1000
_NAME = re.compile(r"[A-Za-z][\w-]*")
_PLACES_OF_ANOTHER_KIND = ("question", "partial")
_NO_TOKEN = -1
"""Of a move that only has a length: no tokenizer knows it, so it ends nothing."""


@dataclass(frozen=True, slots=True)
class Write:
    """The agent's turn to write at most `max_tokens` tokens; an end token ends it sooner."""

    agent: Agent
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Choose:
    """The agent's turn to choose one of the words of its prompt, `options`."""

    agent: Agent
    words: int = 2
    """How many it chooses among, the same at all its turns; a move's `option` counts them from 0."""


Turn = Write | Choose


@dataclass(frozen=True, slots=True)
class Position:
    """A place that a flow can reach, if everything is written to its full length."""

    moves: tuple[Move, ...]
    turn: Turn | None
    """Whose turn follows; None where the flow is over."""


@dataclass(frozen=True, slots=True)
class Node:
    """A place on a path where a move is made, and whose move it is."""

    depth: int
    """Moves before it: a problem's first node has 0."""
    agent: Agent
    turn: int
    """Moves of this agent before it: its own first one has 0."""

    @staticmethod
    def after(moves: Sequence[Move], agent: Agent) -> Node:
        """The node where `agent` moves next."""
        return Node(len(moves), agent, sum(move.agent == agent for move in moves))


class Flow(ABC):
    """What the rest of the project needs to know of a flow.

    A subclass names its agents and says whose turn follows; the rest has defaults that suit flows in which
    one agent writes the answer, at once or chunk by chunk. Make it a frozen dataclass, so that its settings
    are arguments in a config and are remembered by checkpoints. The rules are functions of the moves alone.
    """

    agents: ClassVar[tuple[Agent, ...]]
    """Who plays. An agent is called so everywhere: its adapter, its prompt, its numbers in logs."""
    writer: ClassVar[Agent]
    """Whose words are the answer: who learns from whole answers (`SFTModule`)."""

    @abstractmethod
    def turn(self, moves: Sequence[Move]) -> Turn | None:
        """Whose turn follows these moves; None when the flow is over."""

    def answer(self, moves: Sequence[Move]) -> Sequence[Move]:
        """Which of these moves make up the answer so far: written ones, in order.

        What `{partial}` stands for in prompts, and what is judged when the flow is over. By default all that
        the writer wrote.
        """
        return [move for move in moves if move.agent == self.writer and move.option is None]

    def continues(self, agent: Agent, moves: Sequence[Move]) -> Sequence[Move]:
        """Moves whose words the agent goes on from in its own turn (its chat message begins with them).

        By default the writer goes on from the answer so far, and everybody else begins anew.
        """
        return self.answer(moves) if agent == self.writer else ()

    # What follows from these rules.

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        """Every place that the flow can reach, moves having their full length, no text, and unknown tokens.

        Raises:
            UserError: the rules contradict themselves or have no end.
        """
        self._require_names()
        found, ahead = [], [()]  # type: tuple[list[Position], list[tuple[Move, ...]]]
        while ahead:
            moves = ahead.pop()
            turn = self._asked(moves)
            self._require_turn(moves, turn)
            found.append(Position(moves, turn))
            ahead += [(*moves, move) for move in _possible(turn)]
            if len(found) > _MOST_POSITIONS or len(moves) > _MOST_MOVES:
                raise UserError(
                    f"{self._name} can go on for more than {_MOST_MOVES} moves or in more than "
                    f"{_MOST_POSITIONS:,} ways: let turn(moves) return None sooner."
                )
        self._require_one_number_of_words(found)
        return tuple(found)

    @cached_property
    def endings(self) -> list[tuple[Move, ...]]:
        """Every whole path."""
        return [position.moves for position in self.positions if position.turn is None]

    @cached_property
    def max_moves(self) -> int:
        """The longest possible path, in moves."""
        return max(map(len, self.endings))

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node that a path can have, by depth; another path may have another agent's at the same."""
        nodes = {Node.after(at.moves, at.turn.agent) for at in self.positions if at.turn is not None}
        return tuple(sorted(nodes, key=lambda node: (node.depth, node.agent, node.turn)))

    @cached_property
    def max_answer_tokens(self) -> int:
        """The longest possible answer, in tokens."""
        return max(sum(len(move.token_ids) for move in self.answer(path)) for path in self.endings)

    @cached_property
    def words(self) -> Mapping[Agent, int]:
        """How many words each agent that chooses has."""
        turns = (position.turn for position in self.positions)
        return {turn.agent: turn.words for turn in turns if isinstance(turn, Choose)}

    def finishes(self, before: Sequence[Move], choice: Move) -> bool | None:
        """Whether this choice ended the flow where another word would not have; None if all do alike."""
        turn = self.turn(before)
        if choice.option is None or not isinstance(turn, Choose):
            return None
        over = [self.turn([*before, move]) is None for move in _possible(turn)]
        return over[choice.option] if any(over) and not all(over) else None

    def require_sound(self) -> None:
        """
        Raises:
            UserError: the rules contradict themselves, have no end, or can't be remembered by a checkpoint.
        """
        if not is_dataclass(self):
            raise UserError(
                f"{self._name} is no dataclass: put @dataclass(frozen=True) above its class, so that "
                "checkpoints remember its settings."
            )
        _ = self.positions

    def require_known(self, key: str, agents: Iterable[Agent]) -> None:
        """
        Raises:
            UserError: the setting `key` names an agent that this flow has not.
        """
        if unknown := sorted(set(agents) - set(self.agents)):
            raise UserError(f"{key} names '{unknown[0]}', but the flow's agents are {list(self.agents)}.")

    def _asked(self, moves: Sequence[Move]) -> Turn | None:
        try:
            return self.turn(moves)
        except UserError:
            raise
        except Exception as error:  # rules of one's own
            path = " ".join(move.agent for move in moves) or "no move at all"
            raise UserError(
                f"{self._name}.turn fails after {path}: {type(error).__name__}: {error}."
            ) from error

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _require_names(self) -> None:
        try:
            agents, writer = self.agents, self.writer
        except AttributeError as error:
            raise UserError(f"{self._name} has no `{error.name}`: name its agents, and who writes.") from None
        for name in agents:
            if not _NAME.fullmatch(name) or name in _PLACES_OF_ANOTHER_KIND:
                raise UserError(
                    f"{self._name} has an agent called '{name}': a name is a letter and then letters, "
                    "digits, - and _, and neither 'question' nor 'partial', which prompts use otherwise."
                )
        if len({*agents}) < len(agents):
            raise UserError(f"{self._name} names an agent twice: its agents are {list(agents)}.")
        if writer not in agents:
            raise UserError(f"{self._name}.writer is '{writer}', but its agents are {list(agents)}.")

    def _require_turn(self, moves: Sequence[Move], turn: object) -> None:
        if turn is None:
            self._require_answer(moves)
            return
        if not isinstance(turn, Write | Choose):
            raise UserError(f"{self._name}.turn returns {turn!r}: return Write(…), Choose(…) or None.")
        if turn.agent not in self.agents:
            raise UserError(
                f"{self._name} gives a turn to '{turn.agent}', but its agents are {list(self.agents)}."
            )
        if isinstance(turn, Write) and turn.max_tokens < 1:
            raise UserError(
                f"{self._name} lets '{turn.agent}' write {turn.max_tokens} tokens: give 1 or more."
            )
        if isinstance(turn, Choose) and turn.words < 2:
            raise UserError(
                f"{self._name} lets '{turn.agent}' choose among {turn.words} words: give 2 or more."
            )

    def _require_answer(self, moves: Sequence[Move]) -> None:
        answer = self.answer(moves)
        path = " ".join(move.agent for move in moves) or "no move at all"
        if not answer:
            raise UserError(f"{self._name} can end without an answer (after {path}): see Flow.answer.")
        if foreign := [move for move in answer if move.option is not None or move not in moves]:
            raise UserError(
                f"{self._name}.answer returns {foreign[0]} after {path}: return written moves among those "
                "that it is given."
            )

    def _require_one_number_of_words(self, positions: Iterable[Position]) -> None:
        known: dict[Agent, int] = {}
        for turn in (position.turn for position in positions):
            if isinstance(turn, Choose) and known.setdefault(turn.agent, turn.words) != turn.words:
                raise UserError(
                    f"{self._name} lets '{turn.agent}' choose among {known[turn.agent]} words and elsewhere "
                    f"among {turn.words}: an agent has one list of words."
                )


def _possible(turn: Turn | None) -> list[Move]:
    """The moves of a turn, without text: one of full length, or one for each word."""
    if turn is None:
        return []
    if isinstance(turn, Write):
        return [Move(turn.agent, (_NO_TOKEN,) * turn.max_tokens, "")]
    return [Move(turn.agent, (_NO_TOKEN,), "", option=option) for option in range(turn.words)]

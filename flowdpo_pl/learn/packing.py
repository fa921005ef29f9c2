"""Tree packing: all lessons of one agent on one problem as one sequence, scored by one forward.

The pairs (or groups) of a problem share the prompt and the main chain. The longest sequence of the
deepest node is the trunk; every other one leaves it where their tokens part and becomes a branch that
sees its part of the trunk and itself. Nothing is repeated, so the cost is the unique tokens of the tree.

Shapes: T packed tokens, S scored tokens, M moves, lesson after lesson (of a pair the chosen one first).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from flowdpo_pl.draws import Draws
from flowdpo_pl.play.contexts import Context
from flowdpo_pl.types import Agent, Move, Problem

_FACTOR = 6364136223846793005
"""Knuth's, of a linear congruential generator of 64 bits (MMIX)."""


class Prompts(Protocol):
    """What packing asks of a `PromptBook`."""

    def context(self, agent: Agent, problem: Problem, moves: Sequence[Move]) -> Context: ...

    def options(self, agent: Agent) -> Sequence[int]: ...


class Lesson(Protocol):
    """Moves of one agent after the same prefix."""

    @property
    def problem(self) -> Problem: ...

    @property
    def node(self) -> int: ...

    @property
    def agent(self) -> Agent: ...

    @property
    def prefix(self) -> tuple[Move, ...]: ...

    @property
    def moves(self) -> tuple[Move, ...]: ...


L = TypeVar("L", bound=Lesson)


@dataclass(frozen=True)
class ScoredMove:
    """A move to be scored after what its agent reads before it."""

    before: tuple[int, ...]
    """Token ids of the context."""
    move: tuple[int, ...]
    depth: int
    """Number of the node; the trunk is taken from the deepest."""
    options: tuple[int, ...] = ()
    """The token ids that the softmax runs over; empty: the whole vocabulary."""
    played: float = math.nan
    """Log-probability that it was played with, in nats; NaN: nobody said."""
    problem: str = ""
    """Its id, where dropout is to tell the problem's tokens from another's."""

    @property
    def inputs(self) -> tuple[int, ...]:
        """What goes through the model: all but the last token, which is only predicted."""
        return self.before + self.move[:-1]


@dataclass(frozen=True)
class PackedTree:
    """Sequences that share prefixes, as one. Ints in tuples, so that packing needs no torch."""

    token_ids: tuple[int, ...]
    """[T] the trunk, then branch after branch."""
    positions: tuple[int, ...]
    """[T] position of each token in its own sequence."""
    segments: tuple[int, ...]
    """[T] 0 for the trunk, then 1, 2, … per branch."""
    attached: tuple[int, ...]
    """[T] how many trunk tokens a branch's token sees (0 for the trunk itself, which is causal)."""
    keys: tuple[int, ...]
    """[T] what tells a token from others, wherever it is packed: a hash of 63 bits of the problem and of all
    tokens up to it."""
    scored: tuple[tuple[int, int], ...]
    """[S] (packed index whose output predicts it, token id), each once."""
    options: tuple[tuple[int, ...], ...]
    """[S] the token ids the softmax runs over; empty: the whole vocabulary."""
    moves: tuple[tuple[int, ...], ...]
    """[M] indices into `scored` whose log-probabilities a move sums."""
    played: tuple[float, ...]
    """[M] log-probabilities that the moves were played with; NaN: nobody said."""

    def __len__(self) -> int:
        return len(self.token_ids)


def by_problem(lessons: Iterable[L]) -> list[list[L]]:
    """The lessons of one agent, a problem's together, in order of first appearance."""
    found: defaultdict[str, list[L]] = defaultdict(list)
    for lesson in lessons:
        found[lesson.problem.id].append(lesson)
    return list(found.values())


def pack(lessons: Iterable[Lesson], prompts: Prompts) -> list[PackedTree]:
    """One packed tree for each problem among the lessons of one agent, in order of first appearance."""
    return [pack_lessons(of_problem, prompts) for of_problem in by_problem(lessons)]


def pack_lessons(lessons: Iterable[Lesson], prompts: Prompts) -> PackedTree:
    """Those of one agent on one problem as one tree."""
    return pack_moves([move for lesson in lessons for move in scored_moves(lesson, prompts)])


def scored_moves(lesson: Lesson, prompts: Prompts) -> tuple[ScoredMove, ...]:
    """Its moves, each after the lesson's prefix."""
    before = prompts.context(lesson.agent, lesson.problem, lesson.prefix).token_ids
    options = () if lesson.moves[0].option is None else tuple(prompts.options(lesson.agent))
    return tuple(
        ScoredMove(before, move.token_ids, lesson.node, options, move.logprob, lesson.problem.id)
        for move in lesson.moves
    )


def pack_moves(moves: Sequence[ScoredMove]) -> PackedTree:
    """Pack moves of one problem; `PackedTree.moves` has their order."""
    deepest = max(move.depth for move in moves)
    trunk = max((move.inputs for move in moves if move.depth == deepest), key=len)
    builder = _Builder()
    problem = moves[0].problem
    places = {trunk: builder.segment(problem, trunk)}
    for move in moves:
        if move.inputs not in places:  # a chooser's two moves read the very same tokens
            places[move.inputs] = builder.segment(problem, move.inputs, _common_prefix(trunk, move.inputs))
        builder.score(move, places[move.inputs])
    return builder.tree()


def pack_rows(sequences: Sequence[ScoredMove]) -> list[PackedTree]:
    """Rows that hold every sequence once, its move scored; first-fit by decreasing length.

    A row is a packed tree without a trunk: every sequence is a segment, attached to nothing, whose
    positions start at 0.
    """
    ordered = sorted(sequences, key=lambda sequence: len(sequence.inputs), reverse=True)
    rows: list[_Builder] = []
    for sequence in ordered:
        room = len(ordered[0].inputs) - len(sequence.inputs)
        row = next((row for row in rows if len(row.token_ids) <= room), None)
        if row is None:
            row = _Builder()
            rows.append(row)
        row.score(sequence, row.segment(sequence.problem, sequence.inputs))
    return [row.tree() for row in rows]


class _Builder:
    """A packed tree while it grows; see there for the fields."""

    def __init__(self) -> None:
        self.token_ids: list[int] = []
        self._positions: list[int] = []
        self._segments: list[int] = []
        self._attached: list[int] = []
        self._keys: list[int] = []
        self._scored: dict[tuple[int, int], int] = {}
        """The place of each."""
        self._options: list[tuple[int, ...]] = []
        self._moves: list[tuple[int, ...]] = []
        self._played: list[float] = []

    def segment(self, problem: str, token_ids: Sequence[int], shared: int = 0) -> Sequence[int]:
        """Add what a sequence doesn't share with the trunk; the packed index of each of its tokens."""
        start, rest = len(self.token_ids), len(token_ids) - shared
        number = self._segments[-1] + 1 if self._segments else 0
        self.token_ids.extend(token_ids[shared:])
        self._positions.extend(range(shared, len(token_ids)))
        self._segments.extend([number] * rest)
        self._attached.extend([shared] * rest)
        self._keys.extend(_keys(self._keys[shared - 1] if shared else _root(problem), token_ids[shared:]))
        return [*range(shared), *range(start, start + rest)]

    def score(self, move: ScoredMove, places: Sequence[int]) -> None:
        """Score the tokens of a move, whose inputs are at these packed indices."""
        indices = []
        for scored in zip(places[-len(move.move) :], move.move, strict=True):
            if scored not in self._scored:
                self._scored[scored] = len(self._scored)
                self._options.append(move.options)
            indices.append(self._scored[scored])
        self._moves.append(tuple(indices))
        self._played.append(move.played)

    def tree(self) -> PackedTree:
        return PackedTree(
            tuple(self.token_ids),
            tuple(self._positions),
            tuple(self._segments),
            tuple(self._attached),
            tuple(self._keys),
            tuple(self._scored),
            tuple(self._options),
            tuple(self._moves),
            tuple(self._played),
        )


def _root(problem: str) -> int:
    return Draws().key(problem)


def _keys(before: int, token_ids: Iterable[int]) -> Iterator[int]:
    """A rolling hash of each token and all before it, of which `before` is the last."""
    for token in token_ids:
        before = (before * _FACTOR + token + 1) % 2**63
        yield before


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return min(len(a), len(b))

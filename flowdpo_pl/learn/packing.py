"""Tree packing: all pairs of one agent on one problem as one sequence, scored by one forward.

Pairs of a problem share the prompt and the main chain. The longest sequence of the deepest node is
the trunk; every other one leaves it where their tokens part and becomes a branch that sees its part
of the trunk and itself. Nothing is repeated, so the cost is the unique tokens of the tree.

Shapes: T packed tokens, S scored tokens, M moves (two a pair: chosen 2i, rejected 2i + 1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.types import PreferencePair


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

    @property
    def inputs(self) -> tuple[int, ...]:
        """What goes through the model: all but the last token, which is only predicted."""
        return self.before + self.move[:-1]


@dataclass(frozen=True)
class PackedTree:
    """Sequences that share prefixes, as one. Lists of ints, so that packing needs no torch."""

    token_ids: list[int]
    """[T] the trunk, then branch after branch."""
    positions: list[int]
    """[T] position of each token in its own sequence."""
    segments: list[int]
    """[T] 0 for the trunk, then 1, 2, … per branch."""
    attached: list[int]
    """[T] how many trunk tokens a branch's token sees (0 for the trunk itself, which is causal)."""
    scored: list[tuple[int, int]]
    """[S] (packed index whose output predicts it, token id), each once."""
    options: list[tuple[int, ...]]
    """[S] the token ids the softmax runs over; empty: the whole vocabulary."""
    moves: list[tuple[int, ...]]
    """[M] indices into `scored` whose log-probabilities a move sums."""
    pairs: tuple[PreferencePair, ...] = ()
    """[M / 2] the pairs behind the moves, where they are pairs."""

    def __len__(self) -> int:
        return len(self.token_ids)


def pack(pairs: Iterable[PreferencePair], prompts: PromptBook) -> list[PackedTree]:
    """One packed tree for each problem among the pairs of one agent, in order of first appearance."""
    by_problem: defaultdict[str, list[PreferencePair]] = defaultdict(list)
    for pair in pairs:
        by_problem[pair.problem.id].append(pair)
    return [
        replace(
            pack_moves([move for pair in group for move in scored_moves(pair, prompts)]), pairs=tuple(group)
        )
        for group in by_problem.values()
    ]


def scored_moves(pair: PreferencePair, prompts: PromptBook) -> tuple[ScoredMove, ScoredMove]:
    """The chosen and the rejected move, each after the pair's prefix."""
    context = prompts.context(pair.agent, pair.problem, pair.prefix)
    before = context.prefix + context.suffix
    options = () if pair.chosen.option is None else prompts.options(pair.agent)
    chosen, rejected = (
        ScoredMove(before, move.token_ids, pair.node, options) for move in (pair.chosen, pair.rejected)
    )
    return chosen, rejected


def pack_moves(moves: Sequence[ScoredMove]) -> PackedTree:
    """Pack moves of one problem; `PackedTree.moves` has their order."""
    deepest = max(move.depth for move in moves)
    trunk = max((move.inputs for move in moves if move.depth == deepest), key=len)
    zeros = [0] * len(trunk)
    tree = PackedTree(list(trunk), list(range(len(trunk))), zeros, [*zeros], [], [], [])
    places_of: dict[tuple[int, ...], list[int]] = {}
    index_of: dict[tuple[int, int], int] = {}
    for scored in moves:
        if scored.inputs not in places_of:  # a chooser's two moves read the very same tokens
            places_of[scored.inputs] = _insert(tree, trunk, scored.inputs)
        sources = places_of[scored.inputs][-len(scored.move) :]
        indices = []
        for source, target in zip(sources, scored.move, strict=True):
            if (source, target) not in index_of:
                index_of[source, target] = len(tree.scored)
                tree.scored.append((source, target))
                tree.options.append(scored.options)
            indices.append(index_of[source, target])
        tree.moves.append(tuple(indices))
    return tree


def _insert(tree: PackedTree, trunk: tuple[int, ...], token_ids: tuple[int, ...]) -> list[int]:
    """Add what `token_ids` does not share with the trunk as a branch; the packed index of each token."""
    shared = _common_prefix(trunk, token_ids)
    start, rest = len(tree.token_ids), len(token_ids) - shared
    if rest:
        segment = tree.segments[-1] + 1
        tree.token_ids.extend(token_ids[shared:])
        tree.positions.extend(range(shared, len(token_ids)))
        tree.segments.extend([segment] * rest)
        tree.attached.extend([shared] * rest)
    return [*range(shared), *range(start, start + rest)]


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return min(len(a), len(b))


def pack_rows(sequences: Sequence[ScoredMove]) -> list[PackedTree]:
    """Rows that hold every sequence once, its move scored; first-fit by decreasing length.

    A row is a packed tree without a trunk: every sequence is a segment, attached to nothing, whose
    positions start at 0.
    """
    ordered = sorted(sequences, key=lambda sequence: len(sequence.inputs), reverse=True)
    rows: list[PackedTree] = []
    for sequence in ordered:
        size = len(sequence.inputs)
        row = next((row for row in rows if len(row) + size <= len(ordered[0].inputs)), None)
        if row is None:
            row = PackedTree([], [], [], [], [], [], [])
            rows.append(row)
        _append(row, sequence)
    return rows


def _append(row: PackedTree, sequence: ScoredMove) -> None:
    size, first = len(sequence.inputs), len(row) + len(sequence.before) - 1
    row.token_ids.extend(sequence.inputs)
    row.positions.extend(range(size))
    row.segments.extend([len(row.moves)] * size)
    row.attached.extend([0] * size)
    row.moves.append(tuple(range(len(row.scored), len(row.scored) + len(sequence.move))))
    row.scored.extend((first + offset, token) for offset, token in enumerate(sequence.move))
    row.options.extend([sequence.options] * len(sequence.move))

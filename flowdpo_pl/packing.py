"""Tree packing: all pairs of one agent on one problem as one sequence, scored by one forward.

Pairs of a problem share the prompt and the main chain. The longest sequence of the deepest node is
the trunk; every other one leaves it where their tokens part and becomes a branch that sees its part
of the trunk and itself. Nothing is repeated, so the cost is the unique tokens of the tree.

Shapes: T packed tokens, S scored tokens, M moves (two a pair: chosen 2i, rejected 2i + 1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flowdpo_pl.prompts import PromptBook
from flowdpo_pl.types import Move, PreferencePair


@dataclass(frozen=True)
class PackedTree:
    """One tree of pairs. Lists of ints, so that packing needs no torch."""

    pairs: tuple[PreferencePair, ...]
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

    def __len__(self) -> int:
        return len(self.token_ids)


def pack(pairs: Iterable[PreferencePair], prompts: PromptBook) -> list[PackedTree]:
    """One packed tree for each problem among the pairs of one agent, in order of first appearance."""
    by_problem: defaultdict[str, list[PreferencePair]] = defaultdict(list)
    for pair in pairs:
        by_problem[pair.problem.id].append(pair)
    return [_pack_problem(tuple(group), prompts) for group in by_problem.values()]


def unpacked_tokens(pairs: Iterable[PreferencePair], prompts: PromptBook) -> int:
    """Tokens that the same pairs take as separate sequences, before padding."""
    return sum(
        len(sequence.token_ids)
        for pair in pairs
        for sequence in (_Sequence.of(pair, move, prompts) for move in (pair.chosen, pair.rejected))
    )


@dataclass(frozen=True)
class _Sequence:
    """A move after its prefix: the input tokens, and where the move's targets are."""

    token_ids: tuple[int, ...]
    targets: tuple[int, ...]
    options: tuple[int, ...]

    @staticmethod
    def of(pair: PreferencePair, move: Move, prompts: PromptBook) -> _Sequence:
        context = prompts.context(pair.agent, pair.problem, pair.prefix)
        before = context.prefix + context.suffix
        options = () if move.option is None else prompts.options(pair.agent)
        return _Sequence(before + move.token_ids[:-1], move.token_ids, options)


def _pack_problem(pairs: tuple[PreferencePair, ...], prompts: PromptBook) -> PackedTree:
    sequences = [_Sequence.of(pair, move, prompts) for pair in pairs for move in (pair.chosen, pair.rejected)]
    deepest = max(pair.node for pair in pairs)
    nodes = [pair.node for pair in pairs for _ in range(2)]
    trunk = max((s.token_ids for s, node in zip(sequences, nodes, strict=True) if node == deepest), key=len)
    tree = PackedTree(
        pairs, list(trunk), list(range(len(trunk))), [0] * len(trunk), [0] * len(trunk), [], [], []
    )
    places_of: dict[tuple[int, ...], list[int]] = {}
    index_of: dict[tuple[int, int], int] = {}
    for sequence in sequences:
        if sequence.token_ids not in places_of:  # a chooser's two moves read the very same tokens
            places_of[sequence.token_ids] = _insert(tree, trunk, sequence.token_ids)
        places = places_of[sequence.token_ids]
        move = []
        sources = places[-len(sequence.targets) :]
        for source, target in zip(sources, sequence.targets, strict=True):
            if (source, target) not in index_of:
                index_of[source, target] = len(tree.scored)
                tree.scored.append((source, target))
                tree.options.append(sequence.options)
            move.append(index_of[source, target])
        tree.moves.append(tuple(move))
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

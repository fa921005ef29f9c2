"""What one batch takes, counted in trees: in those that a probe played, or in one that the rules allow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowdpo_pl.learn.objective import Objective
from flowdpo_pl.learn.packing import PackedTree, Prompts, ScoredMove, pack, pack_rows
from flowdpo_pl.play.engines.prefix_cache import Ids, common_prefix
from flowdpo_pl.types import Agent, Move, RolloutTree

_QUERIES_AT_ONCE = 128
"""As in model/attention.py: queries of a packed row that share the keys they see."""


@dataclass(frozen=True)
class Wave:
    """Chunks that are written side by side."""

    rows: int
    tokens: int
    """A row writes at most."""
    context: int
    """Tokens before the chunk, of the longest row."""


@dataclass(frozen=True)
class PackedShape:
    """A packed tree of one agent on one problem, or a row of one trace."""

    tokens: int
    scored: int
    """Tokens whose logits over the vocabulary are needed; none of choices."""
    seen: tuple[int, ...]
    """Keys that each block of 128 queries sees."""


@dataclass(frozen=True)
class Workload:
    """Of one batch on one device, all its problems (or traces) together."""

    size: int
    """Problems, or traces where nothing is played."""
    generated: int
    read: int
    """Tokens read by all agents, outside of writing."""
    cached: int
    """Left in the caches of all agents when the play ends."""
    waves: tuple[Wave, ...]
    """Empty if nothing is played."""
    packs: Mapping[Agent, Sequence[PackedShape]]
    """The packed trees (or rows) that each agent learns from."""

    @property
    def packed_tokens(self) -> int:
        return sum(pack.tokens for packs in self.packs.values() for pack in packs)

    @property
    def scored_tokens(self) -> int:
        return sum(pack.scored for packs in self.packs.values() for pack in packs)

    def times(self, problems: int, trees: int) -> Workload:
        """This much for each of so many problems, of which so many teach something."""
        return Workload(
            size=problems * self.size,
            generated=problems * self.generated,
            read=problems * self.read,
            cached=problems * self.cached,
            waves=tuple(replace(wave, rows=problems * wave.rows) for wave in self.waves),
            packs={agent: [*packs] * trees for agent, packs in self.packs.items()},
        )


def supervised(writer: Agent, prompt: int, written: int, traces: int) -> Workload:
    """A batch of equal traces."""
    (row,) = pack_rows([ScoredMove(tuple(range(prompt)), (0,) * written, 0)])
    return Workload(traces, 0, 0, 0, (), {writer: [_shape_of(row)] * traces})


def counted(
    trees: Sequence[RolloutTree], prompts: Prompts, objectives: Mapping[Agent, Objective], margin: float = 0.0
) -> Workload:
    """A batch as these trees were played, and as what each agent learns from them is packed."""
    problems = [_Problem(tree, prompts) for tree in trees]
    waves: defaultdict[int, list[Wave]] = defaultdict(list)
    for problem in problems:
        for number, wave in problem.waves.items():
            waves[number] += wave
    packed = {}
    for agent, objective in objectives.items():
        lessons = (lesson for lesson in objective.mine(trees, margin) if lesson.agent == agent)
        packed[agent] = [_shape_of(tree) for tree in pack(lessons, prompts)]
    return Workload(
        size=len(trees),
        generated=sum(problem.generated for problem in problems),
        read=sum(problem.read for problem in problems),
        cached=sum(problem.cached for problem in problems),
        waves=tuple(_together(rows) for _, rows in sorted(waves.items())),
        packs={agent: packs for agent, packs in packed.items() if packs},
    )


class _Problem:
    """One problem's play again, by lengths: each agent reads what it has not read or written before."""

    def __init__(self, tree: RolloutTree, prompts: Prompts) -> None:
        self.generated = self.read = self.cached = 0
        self.waves: defaultdict[int, list[Wave]] = defaultdict(list)
        """By number: a chunk is written in the wave after the one before it on its path."""
        self._known: defaultdict[Agent, list[Ids]] = defaultdict(list)
        for moves, node in _paths(tree):
            for place in range(node, len(moves)):
                self._play(tree, moves, place, node, prompts)

    def _play(
        self, tree: RolloutTree, moves: Sequence[Move], place: int, node: int, prompts: Prompts
    ) -> None:
        move = moves[place]
        context = prompts.context(move.agent, tree.problem, moves[:place])
        before = np.asarray(context.token_ids, dtype=np.int64)
        shared = max((common_prefix(known, before) for known in self._known[move.agent]), default=0)
        self.read += len(before) - shared
        if move.option is None:
            kept = np.asarray((*context.token_ids, *move.token_ids), dtype=np.int64)
            self.generated += len(move.token_ids)
            number = _wave_of(moves, place, node)
            self.waves[number].append(Wave(1, len(move.token_ids), len(before)))
        else:
            kept = np.asarray(context.prefix, dtype=np.int64)
        self.cached += max(0, len(kept) - shared)
        self._known[move.agent].append(kept)


def _paths(tree: RolloutTree) -> Iterator[tuple[Sequence[Move], int]]:
    """Each path with its first own move, the main chain first."""
    yield tree.main.moves, 0
    for fork in tree.forks:
        yield fork.branch.moves, fork.node


def _wave_of(moves: Sequence[Move], place: int, node: int) -> int:
    """An alternative to a chunk is written in the wave after that chunk's own."""
    before = sum(move.option is None for move in moves[:place])
    leaves_a_chunk = node > 0 and moves[node].option is None
    return before + leaves_a_chunk


def _together(waves: Sequence[Wave]) -> Wave:
    return Wave(
        sum(wave.rows for wave in waves),
        max(wave.tokens for wave in waves),
        max(wave.context for wave in waves),
    )


def _shape_of(tree: PackedTree) -> PackedShape:
    scored = sum(not options for options in tree.options)
    segments = np.asarray(tree.segments)
    attached = np.asarray(tree.attached)
    trunk = int((segments == 0).sum())
    seen = []
    for first in range(0, len(tree), _QUERIES_AT_ONCE):
        last = min(first + _QUERIES_AT_ONCE, len(tree))
        inside = np.unique(segments[first:last])
        on_trunk = max(
            min(last, trunk) if number == 0 else int(attached[segments == number][0]) for number in inside
        )
        own = sum(int((segments[:last] == number).sum()) for number in inside if number)
        seen.append(on_trunk + own)
    return PackedShape(len(tree), scored, tuple(seen))

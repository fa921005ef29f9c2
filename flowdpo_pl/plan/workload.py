"""What one batch takes: assumed from the rules and a length of answers, or counted in played trees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flowdpo_pl.learn.packing import PackedTree, pack
from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.plan.paths import (
    PackedShape,
    Path,
    ProblemTokens,
    PromptTokens,
    Wave,
    blocks_seen,
    path_tokens,
    start_of_fork,
)
from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.types import Agent, RolloutTree


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


def assumed(tokens: ProblemTokens, problems: int, packs: Mapping[Agent, Sequence[PackedShape]]) -> Workload:
    """A batch of equal problems, from which these are learnt."""
    return Workload(
        size=problems,
        generated=problems * tokens.generated,
        read=problems * tokens.read,
        cached=problems * tokens.cached,
        waves=tuple(replace(wave, rows=problems * wave.rows) for wave in tokens.waves),
        packs=packs,
    )


def supervised(writer: Agent, row: PackedShape, traces: int) -> Workload:
    """A batch of equal traces."""
    return Workload(traces, 0, 0, 0, (), {writer: [row] * traces})


def counted(trees: Sequence[RolloutTree], prompts: PromptBook, learners: Sequence[Agent]) -> Workload:
    """A batch as it was played, and as its pairs are packed."""
    problems = [_of_tree(tree, prompts) for tree in trees]
    rows: defaultdict[int, list[Wave]] = defaultdict(list)
    for problem in problems:
        for number, wave in enumerate(problem.waves):
            rows[number].append(wave)
    mined = mine(trees)
    return Workload(
        size=len(trees),
        generated=sum(problem.generated for problem in problems),
        read=sum(problem.read for problem in problems),
        cached=sum(problem.cached for problem in problems),
        waves=tuple(_together(waves) for _, waves in sorted(rows.items())),
        packs={agent: [_shape_of(tree) for tree in pack(mined.of(agent), prompts)] for agent in learners},
    )


def _of_tree(tree: RolloutTree, prompts: PromptBook) -> ProblemTokens:
    around = {}
    for agent in prompts.agents:
        context = prompts.context(agent, tree.problem, ())
        around[agent] = PromptTokens(len(context.prefix), len(context.suffix))
    main = Path(tree.main.moves, 0, 0)
    forks = [
        Path(fork.branch.moves, fork.node, start_of_fork(tree.main.moves, fork.node)) for fork in tree.forks
    ]
    return path_tokens([main, *forks], around)


def _together(waves: Sequence[Wave]) -> Wave:
    return Wave(
        sum(wave.rows for wave in waves),
        max(wave.tokens for wave in waves),
        max(wave.context for wave in waves),
    )


def _shape_of(tree: PackedTree) -> PackedShape:
    scored = sum(not options for options in tree.options)
    segments = [(0, 0, tree.segments.count(0))]
    start = segments[0][2]
    while start < len(tree):
        length = tree.segments.count(tree.segments[start])
        segments.append((tree.attached[start], start, start + length))
        start += length
    return PackedShape(len(tree), scored, blocks_seen(segments))

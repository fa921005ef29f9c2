"""What the nodes of a run came to, over time: pairs and ties by agent and depth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from flowdpo_pl.measure.tree_statistics import depth
from flowdpo_pl.results.logged_numbers import LoggedNumbers
from flowdpo_pl.results.run_trees import RunTree, RunTrees
from flowdpo_pl.types import Agent, Tie
from flowdpo_pl.view.selection import evenly

OUTCOMES = {
    "pairs": "pairs",
    f"ties/{Tie.BOTH_RIGHT}": "ties, both right",
    f"ties/{Tie.BOTH_WRONG}": "ties, both wrong",
    f"ties/{Tie.REPEATED}": "the same move again",
    f"ties/{Tie.NO_ALTERNATIVE}": "no alternative",
}
"""As in logs, behind the agent's name; and in words."""
_MOST_TREES = 4000

Key: TypeAlias = tuple[Agent, int | None, str]
"""Agent, depth (None: of all), outcome."""


@dataclass(frozen=True)
class CountsAt:
    """Nodes of a batch."""

    seen: float
    """Problems that had been played after it."""
    counts: Counter[Key]


@dataclass(frozen=True)
class ForkCounts:
    """Nodes of a run, a batch at a time."""

    batches: Sequence[CountsAt]
    told: str
    """What they were counted in."""

    @property
    def agents(self) -> list[Agent]:
        return list(dict.fromkeys(agent for batch in self.batches for agent, _, _ in batch.counts))

    @property
    def outcomes(self) -> list[str]:
        """Those that there are."""
        found = {
            outcome for batch in self.batches for (_, _, outcome), number in batch.counts.items() if number
        }
        return [outcome for outcome in OUTCOMES if outcome in found]

    def depths(self, agent: Agent) -> list[int]:
        """Those at which the agent has nodes, ascending; empty where depths are not known."""
        found = {at for batch in self.batches for who, at, _ in batch.counts if who == agent}
        return sorted(at for at in found if at is not None)


def counted_in_trees(trees: RunTrees) -> ForkCounts:
    """By depth, in the trees that a run kept; of very many, in some evenly over the run.

    Raises:
        UserError: a line is no tree.
    """
    numbers = evenly(range(1, trees.count + 1), _MOST_TREES)
    told = f"Counted in {len(numbers):,} of {trees.count:,} trees, evenly over the run."
    if len(numbers) == trees.count:
        told = f"Counted in all {trees.count:,} trees."
    batches: dict[int, Counter[Key]] = {}
    for one in trees.read(frozenset(numbers)):
        batches.setdefault(one.seen, Counter()).update(_keys(one, trees.margin))
    return ForkCounts([CountsAt(seen, counts) for seen, counts in batches.items()], told)


def counted_in_log(logged: LoggedNumbers) -> ForkCounts:
    """Without depths, from the numbers that a run logged."""
    names = {
        name: (name.removesuffix(f"/{outcome}"), None, outcome)
        for name in logged.names
        for outcome in OUTCOMES
        if name.endswith(f"/{outcome}")
    }
    batches = []
    for row in logged.with_all(logged.axis, "problems"):
        counts: Counter[Key] = Counter({key: round(row[name]) for name, key in names.items() if name in row})
        batches.append(CountsAt(row[logged.axis], counts))
    return ForkCounts(batches, "Counted by the run; depths are known where it kept its trees (TreeLog).")


def _keys(one: RunTree, margin: float) -> Iterable[Key]:
    moves = one.tree.main.moves
    for pair in one.tree.pairs(margin):
        yield pair.agent, depth(moves, pair.node), "pairs"
    for fork in one.tree.forks:
        if (tie := fork.tie(margin)) is not None:
            yield fork.taken.agent, depth(moves, fork.node), f"ties/{tie}"
    for node in one.tree.nodes_without_alternative:
        yield moves[node].agent, depth(moves, node), f"ties/{Tie.NO_ALTERNATIVE}"

"""What a batch of rollout trees says about the flow, as plain numbers for logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flowdpo_pl.types import Agent, Fork, Move, RolloutTree, Tie


def tree_statistics(
    trees: Sequence[RolloutTree], agents: Sequence[Agent], margin: float = 0.0
) -> dict[str, float]:
    """Counts and shares over the trees of one batch.

    Keys, for each of the flow's agents and each depth k that has forks; depth is the number of the chunk that
    the node wrote or judged, from 1:

    - `{agent}/pairs`, `{agent}/ties/{kind}` for each `Tie`: numbers of nodes;
    - `{agent}/flips`, `flips/depth_{k}`: share of the forks there that are pairs, whose endings
      differ; left out where there is no fork;
    - `chunks_per_answer`: mean number of chunks of a main chain (0 without trees);
    - `same_text_alternatives`: number of forks whose two written moves read the same though their
      tokens differ.

    Args:
        trees: of the batch.
        agents: of the flow.
        margin: endings whose scores differ by no more are ties.
    """
    forks: Counter[str] = Counter()
    flips: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for tree in trees:
        for fork in tree.forks:
            for place in (
                f"{fork.taken.agent}/flips",
                f"flips/depth_{depth(tree.main.moves, fork.node)}",
            ):
                forks[place] += 1
                flips[place] += fork.is_pair(margin)
            if (tie := fork.tie(margin)) is not None:
                counts[f"{fork.taken.agent}/ties/{tie}"] += 1
            counts["same_text_alternatives"] += _reads_the_same(fork)
        for pair in tree.pairs(margin):
            counts[f"{pair.agent}/pairs"] += 1
        for node in tree.nodes_without_alternative:
            counts[f"{tree.main.moves[node].agent}/ties/{Tie.NO_ALTERNATIVE}"] += 1
    outcomes = ("pairs", *(f"ties/{kind}" for kind in Tie))
    chunks = sum(_chunks(tree.main.moves) for tree in trees)
    return {
        **{
            f"{agent}/{outcome}": float(counts[f"{agent}/{outcome}"])
            for agent in agents
            for outcome in outcomes
        },
        **{place: flips[place] / number for place, number in sorted(forks.items())},
        "chunks_per_answer": chunks / len(trees) if trees else 0.0,
        "same_text_alternatives": float(counts["same_text_alternatives"]),
    }


def depth(moves: Sequence[Move], node: int) -> int:
    """Number of the chunk that the move at `node` wrote or judged, from 1; 0 before anything is written."""
    return _chunks(moves[: node + 1])


def _chunks(moves: Sequence[Move]) -> int:
    """Written moves of a path."""
    return sum(move.option is None for move in moves)


def _reads_the_same(fork: Fork) -> bool:
    taken, other = fork.taken, fork.other
    return taken.option is None and taken.text == other.text and taken.token_ids != other.token_ids

"""Rollout trees as a table: a row a fork, for `datasets`, pandas and the hub's viewer.

It is made from what `TreeLog` wrote, in the order of the stream; docs/runs.md has its columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdpo_pl.measure.tree_statistics import depth
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.results.parquet_rows import write_parquet_rows
from flowdpo_pl.results.run_trees import RunTrees
from flowdpo_pl.types import Fork, Move, RolloutTree, Tie, Trajectory

if TYPE_CHECKING:
    import pyarrow

PAIR = "pair"
"""The kind of a fork that is a preference pair; of others it is that of their tie."""


def write_forks(file: Path, output: Path, margin: float = 0.0) -> None:
    """Write the forks of a run; memory holds a tree at a time.

    Args:
        file: its `trees.jsonl`.
        output: the parquet file; whole, or as it was.
        margin: `model.score_margin` of the run: of endings whose scores differ by no more it has a tie.

    Raises:
        UserError: a line is no tree.
    """
    trees = RunTrees(file, margin).read()
    rows = (row for placed in trees for row in fork_rows(placed.tree, placed.seen, margin))
    with whole_file(output) as partial:
        write_parquet_rows(rows, _schema(), partial)


def fork_rows(tree: RolloutTree, problems_seen: int, margin: float = 0.0) -> Iterator[dict[str, Any]]:
    """A tree's rows by node: its forks, and nodes that had no alternative with nulls for it."""
    forks: list[tuple[int, Fork | None]] = [(fork.node, fork) for fork in tree.forks]
    nodes = forks + [(node, None) for node in tree.nodes_without_alternative]
    for node, fork in sorted(nodes, key=itemgetter(0)):
        yield {
            "problems_seen": problems_seen,
            "problem_id": tree.problem.id,
            "question": tree.problem.question,
            "gold": tree.problem.gold,
            "node": node,
            "depth": depth(tree.main.moves, node),
            "agent": tree.main.moves[node].agent,
            "kind": Tie.NO_ALTERNATIVE.value if fork is None else fork.tie(margin) or PAIR,
            "better": _better(fork, margin),
            **_side("taken", tree.main.moves[node], tree.main),
            **(_side("other", fork.other, fork.branch) if fork is not None else {}),
        }


def _better(fork: Fork | None, margin: float) -> str | None:
    if fork is None or not fork.is_pair(margin):
        return None
    return "taken" if fork.better is fork.taken else "other"


def _side(side: str, move: Move, path: Trajectory) -> dict[str, Any]:
    columns = {
        "text": move.text,
        "ids": move.token_ids,
        "option": move.option,
        "logprob": None if math.isnan(move.logprob) else move.logprob,
        "answer": path.answer,
        "extracted": path.verdict.extracted,
        "correct": path.verdict.correct,
        "score": path.verdict.score,
        "error": path.verdict.error,
    }
    return {f"{side}_{name}": value for name, value in columns.items()}


def _schema() -> pyarrow.Schema:
    import pyarrow as pa

    text, whole, number = pa.string(), pa.int64(), pa.float64()
    side = {
        "text": text,
        "ids": pa.list_(whole),
        "option": whole,
        "logprob": number,
        "answer": text,
        "extracted": text,
        "correct": pa.bool_(),
        "score": number,
        "error": text,
    }
    columns = {
        "problems_seen": whole,
        **dict.fromkeys(("problem_id", "question", "gold"), text),
        **dict.fromkeys(("node", "depth"), whole),
        **dict.fromkeys(("agent", "kind", "better"), text),
        **{f"{of}_{name}": kind for of in ("taken", "other") for name, kind in side.items()},
    }
    return pa.schema(list(columns.items()))

"""Rollout trees as JSON: one tree an object, one object a line.

    {"problem": {"id", "question", "gold", "seed_question", "labels": {name: value}, "kept": {column: value}},
     "main": {"moves": [MOVE, ..], "answer", "verdict": VERDICT},
     "forks": [{"node", "other": MOVE, "continuation": [MOVE, ..], "answer", "verdict": VERDICT}, ..],
     "nodes_without_alternative": [node, ..]}
    MOVE     {"agent", "token_ids", "text", "option", "logprob"}   logprob null: unknown (NaN)
    VERDICT  {"correct", "extracted", "error", "score"}

A fork holds only what the main chain doesn't: its branch is the main moves before `node`, then `other`,
then `continuation`. A line may hold further keys (a log's position); reading ignores them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Fork, Move, Problem, RolloutTree, Trajectory, Verdict

Json: TypeAlias = dict[str, Any]


def tree_to_dict(tree: RolloutTree) -> Json:
    """The tree as JSON-able data; `tree_from_dict` gives an equal tree back.

    Raises:
        ValueError: A fork doesn't belong to the main chain (its prefix, the move taken, or the
            main chain's verdict differ).
    """
    return {
        "problem": {
            **asdict(tree.problem),
            "labels": dict(tree.problem.labels),
            "kept": dict(tree.problem.kept),
        },
        "main": {"moves": [_move_to_dict(move) for move in tree.main.moves], **_ending_to_dict(tree.main)},
        "forks": [_fork_to_dict(fork, tree.main) for fork in tree.forks],
        "nodes_without_alternative": list(tree.nodes_without_alternative),
    }


def tree_from_dict(data: Json) -> RolloutTree:
    """The inverse of `tree_to_dict`.

    Raises:
        KeyError, TypeError, ValueError, IndexError: The data don't have the documented form.
    """
    main = _trajectory(tuple(_move_from_dict(move) for move in data["main"]["moves"]), data["main"])
    return RolloutTree(
        problem=_problem(data["problem"]),
        main=main,
        forks=tuple(_fork_from_dict(fork, main) for fork in data["forks"]),
        nodes_without_alternative=tuple(data["nodes_without_alternative"]),
    )


def read_trees(path: Path | str) -> Iterator[RolloutTree]:
    """The trees of a JSONL file, in order, one at a time.

    A last line without its line break was cut off while being written and is left out.

    Raises:
        UserError: The file is missing, or a line isn't a tree (named with its number).
    """
    return (tree for _, tree in read_placed_trees(path))


def read_placed_trees(path: Path | str) -> Iterator[tuple[int, RolloutTree]]:
    """The same, each behind its `problems_seen`: the stream's position after its batch, 0 if it says none.

    Raises:
        UserError: as `read_trees`.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file of rollout trees; give one that TreeLog wrote")
    for number, line in text_lines(path):
        if not line.endswith("\n"):
            return
        try:
            data = json.loads(line)
            tree = tree_from_dict(data)
            yield int(data.get("problems_seen", 0)), tree
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UserError(
                f"{path}, line {number}: not a rollout tree ({error!r}); remove that line"
            ) from error


def _problem(data: Json) -> Problem:
    pairs = {name: tuple(data.get(name, {}).items()) for name in ("labels", "kept")}
    return Problem(**{**data, **pairs})


def _move_to_dict(move: Move) -> Json:
    data = asdict(move)
    if math.isnan(move.logprob):
        data["logprob"] = None  # JSON has no NaN
    return data


def _move_from_dict(data: Json) -> Move:
    known = {name: value for name, value in data.items() if not (name == "logprob" and value is None)}
    return Move(**{**known, "token_ids": tuple(data["token_ids"])})


def _ending_to_dict(trajectory: Trajectory) -> Json:
    return {"answer": trajectory.answer, "verdict": asdict(trajectory.verdict)}


def _trajectory(moves: tuple[Move, ...], ending: Json) -> Trajectory:
    return Trajectory(moves=moves, answer=ending["answer"], verdict=Verdict(**ending["verdict"]))


def _fork_to_dict(fork: Fork, main: Trajectory) -> Json:
    # Compared by tokens: a move whose log-probability is NaN isn't equal to its own copy.
    prefix = [move.token_ids for move in fork.branch.moves[: fork.node]]
    if (
        prefix != [move.token_ids for move in main.moves[: fork.node]]
        or fork.taken.token_ids != main.moves[fork.node].token_ids
        or fork.other.token_ids != fork.branch.moves[fork.node].token_ids
        or fork.taken_verdict != main.verdict
    ):
        raise ValueError(f"the fork at node {fork.node} doesn't belong to its main chain")
    return {
        "node": fork.node,
        "other": _move_to_dict(fork.other),
        "continuation": [_move_to_dict(move) for move in fork.branch.moves[fork.node + 1 :]],
        **_ending_to_dict(fork.branch),
    }


def _fork_from_dict(data: Json, main: Trajectory) -> Fork:
    node, other = data["node"], _move_from_dict(data["other"])
    continuation = tuple(_move_from_dict(move) for move in data["continuation"])
    return Fork(
        node=node,
        taken=main.moves[node],
        other=other,
        branch=_trajectory((*main.moves[:node], other, *continuation), data),
        taken_verdict=main.verdict,
    )

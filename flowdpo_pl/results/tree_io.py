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
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.typed_values import (
    FLAG,
    LIST,
    NUMBER,
    NUMBER_OR_NULL,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    WHOLE,
    WHOLE_OR_NULL,
    require_each,
    require_types,
    token_ids,
)
from flowdpo_pl.types import Fork, Move, Problem, RolloutTree, Trajectory, Verdict

Json: TypeAlias = dict[str, Any]

_TREE = {"problem": OBJECT, "main": OBJECT, "forks": LIST, "nodes_without_alternative": LIST}
_PROBLEM = {"id": TEXT, "question": TEXT, "gold": TEXT}
_OF_SOME_PROBLEMS = {"seed_question": TEXT, "labels": OBJECT, "kept": OBJECT}
_ENDING = {"answer": TEXT, "verdict": OBJECT}
_MAIN = {"moves": LIST, **_ENDING}
_FORK = {"node": WHOLE, "other": OBJECT, "continuation": LIST, **_ENDING}
_MOVE = {"agent": TEXT, "token_ids": LIST, "text": TEXT}
_OF_SOME_MOVES = {"option": WHOLE_OR_NULL, "logprob": NUMBER_OR_NULL}
_VERDICT = {"correct": FLAG}
_OF_SOME_VERDICTS = {"extracted": TEXT_OR_NULL, "error": TEXT_OR_NULL, "score": NUMBER}


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
        TypeError, ValueError, OverflowError: The data don't have the documented form.
    """
    require_types(data, _TREE, {}, "the tree")
    given = require_types(data["main"], _MAIN, {}, "the main chain")
    main = _trajectory(tuple(map(_move_from_dict, given["moves"])), given)
    without = tuple(data["nodes_without_alternative"])
    require_each(without, WHOLE, "nodes_without_alternative")
    for node in without:
        _require_node(node, main)
    return RolloutTree(
        problem=_problem(data["problem"]),
        main=main,
        forks=tuple(_fork_from_dict(fork, main) for fork in data["forks"]),
        nodes_without_alternative=without,
    )


def read_trees(path: Path | str) -> Iterator[RolloutTree]:
    """The trees of a JSONL file, in order, one at a time.

    A last line without its line break was cut off while being written and is left out.

    Raises:
        UserError: The file is missing, or a line isn't a tree (named with its number).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file of rollout trees; give one that TreeLog wrote")
    for number, line in text_lines(path):
        if not line.endswith("\n"):
            return
        yield tree_of_line(line, path, number)


def tree_of_line(line: str, path: Path, number: int) -> RolloutTree:
    """The tree of one line of a file.

    Raises:
        UserError: it isn't a tree; names the file and the line's number.
    """
    try:
        return tree_from_dict(json.loads(line))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}, line {number}: not a rollout tree ({error}); remove that line") from error


def _problem(data: Json) -> Problem:
    require_types(data, _PROBLEM, _OF_SOME_PROBLEMS, "the problem")
    require_each(data.get("labels", {}).values(), TEXT, "the problem's labels")
    pairs = {name: tuple(data.get(name, {}).items()) for name in ("labels", "kept")}
    return Problem(**{**data, **pairs})


def _move_to_dict(move: Move) -> Json:
    data = asdict(move)
    if math.isnan(move.logprob):
        data["logprob"] = None  # JSON has no NaN
    return data


def _move_from_dict(data: Json) -> Move:
    require_types(data, _MOVE, _OF_SOME_MOVES, "a move")
    known = {**data, "token_ids": token_ids(data["token_ids"], "token_ids of a move")}
    logprob = known.pop("logprob", None)
    return Move(**known) if logprob is None else Move(**known, logprob=float(logprob))


def _ending_to_dict(trajectory: Trajectory) -> Json:
    return {"answer": trajectory.answer, "verdict": asdict(trajectory.verdict)}


def _trajectory(moves: tuple[Move, ...], ending: Mapping[str, Any]) -> Trajectory:
    verdict = require_types(ending["verdict"], _VERDICT, _OF_SOME_VERDICTS, "a verdict")
    return Trajectory(moves=moves, answer=ending["answer"], verdict=Verdict(**verdict))


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
    require_types(data, _FORK, {}, "a fork")
    node, other = data["node"], _move_from_dict(data["other"])
    _require_node(node, main)
    continuation = tuple(_move_from_dict(move) for move in data["continuation"])
    return Fork(
        node=node,
        taken=main.moves[node],
        other=other,
        branch=_trajectory((*main.moves[:node], other, *continuation), data),
        taken_verdict=main.verdict,
    )


def _require_node(node: int, main: Trajectory) -> None:
    if not 0 <= node < len(main.moves):
        raise ValueError(f"node {node} is none of the main chain's {len(main.moves)} moves")

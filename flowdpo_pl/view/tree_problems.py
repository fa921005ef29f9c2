"""Rollout trees as a page shows them.

TREE     {"number", "id", "question", "gold", "labels", "seen", "end": END, "moves": [MOVE, ..],
          "depths": [depth of each move], "forks": [FORK, ..], "without": [node, ..]}
MOVE     [index of the agent, text, 1 if it was chosen among words, log-probability or null]
FORK     [node, outcome, MOVE, [MOVE that follow, ..], END]
END      [1 if right, score, answer or null, error or null]
outcome  what the fork taught of its other move: `chosen`, `rejected`, or the kind of its tie
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from typing import Any, ClassVar

from flowdpo_pl.measure.tree_statistics import depth
from flowdpo_pl.results.run_trees import RunTree, RunTrees
from flowdpo_pl.types import Agent, Fork, Move
from flowdpo_pl.view.problems import Json, Shown, ending, problem_data
from flowdpo_pl.visible import visible, visible_line


class TreeProblems:
    """The trees of a run.

    Args:
        trees: of the run.
    """

    kind: ClassVar[str] = "trees"

    def __init__(self, trees: RunTrees) -> None:
        self._trees = trees
        self._agents: dict[Agent, int] = {}

    @property
    def count(self) -> int:
        return self._trees.count

    def read(self, numbers: Container[int]) -> Iterator[Shown]:
        for one in self._trees.read(numbers):
            yield Shown(one.number, one.tree.problem.id, self._data(one))

    def told(self) -> Json:
        return {"agents": [visible_line(agent) for agent in self._agents]}

    def _data(self, one: RunTree) -> Json:
        tree = one.tree
        return {
            **problem_data(one.number, tree.problem),
            "seen": one.seen,
            "end": ending(tree.main.verdict),
            "moves": self._moves(tree.main.moves),
            "depths": [depth(tree.main.moves, node) for node in range(len(tree.main.moves))],
            "forks": [self._fork(fork) for fork in tree.forks],
            "without": list(tree.nodes_without_alternative),
        }

    def _fork(self, fork: Fork) -> list[Any]:
        return [
            fork.node,
            outcome(fork, self._trees.margin),
            *self._moves([fork.other]),
            self._moves(fork.branch.moves[fork.node + 1 :]),
            ending(fork.branch.verdict),
        ]

    def _moves(self, moves: Sequence[Move]) -> list[list[Any]]:
        return [
            [
                self._agents.setdefault(move.agent, len(self._agents)),
                visible(move.text),
                int(move.option is not None),
                round(move.logprob, 3) if math.isfinite(move.logprob) else None,
            ]
            for move in moves
        ]


def outcome(fork: Fork, margin: float) -> str:
    """What a fork teaches of its other move: `chosen`, `rejected`, or the kind of its tie."""
    if (tie := fork.tie(margin)) is not None:
        return str(tie)
    return "chosen" if fork.better is fork.other else "rejected"

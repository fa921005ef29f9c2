"""How a tree's cost grows with chunks, problems per batch and prompt length: as its unique tokens do."""

from __future__ import annotations

import time
from dataclasses import replace

from jsonargparse import auto_cli

from benchmarks.repeat import Measurement, report, side_by_side
from benchmarks.workload import Workload
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.types import Problem, RolloutTree


def unique_tokens(module: FlowDPOModule, tree: RolloutTree) -> int:
    """Tokens that each agent has to read or write once for this tree."""
    book = module.players.prompts
    stops = sum(move.option is not None for path in _paths(tree) for move in path)
    prompt = sum(len(book.context(agent, tree.problem, ()).prefix) for agent in book.agents)
    written = sum(len(move.token_ids) for path in _paths(tree) for move in path if move.option is None)
    suffix = len(book.context("stop", tree.problem, ()).suffix)
    return prompt + 2 * written + stops * suffix


def _paths(tree: RolloutTree) -> list[tuple[object, ...]]:  # type: ignore[type-arg]
    return [tree.main.moves, *(fork.branch.moves[fork.node :] for fork in tree.forks)]


def scaling(
    workload: Workload = Workload(chunk_tokens=16),
    chunks: list[int] = [1, 2, 4, 8, 12],  # noqa: B006
    problems: list[int] = [1, 8, 32, 128],  # noqa: B006
    prompt_words: list[int] = [0, 100, 400],  # noqa: B006
    rounds: int = 3,
) -> None:
    """Seconds and unique tokens along three axes, others as in the workload.

    Args:
        workload: the middle of the axes.
        chunks: numbers of chunks.
        problems: problems in a batch.
        prompt_words: words put before every question.
        rounds: medians are over this many.
    """
    axes = {
        "chunks": {n: (replace(workload, max_chunks=n, problems=8), 0) for n in chunks},
        "problems": {n: (replace(workload, problems=n), 0) for n in problems},
        "prompt_words": {n: (replace(workload, problems=8), n) for n in prompt_words},
    }
    results: dict[str, dict[str, dict[str, float]]] = {}
    for axis, points in axes.items():
        runs = {str(n): _runner(point, words) for n, (point, words) in points.items()}
        results[axis] = side_by_side(runs, rounds)
    report("scaling", workload=vars(workload), rounds=rounds, results=results)


def _runner(workload: Workload, words: int):  # type: ignore[no-untyped-def]
    module = workload.module()
    padding = " ".join(["Read carefully."] * (words // 2))
    problems = [  # the number first, or all would begin alike and that be read once
        Problem(p.id, f"{number}. {padding} {p.question}", p.gold) for number, p in enumerate(workload.read())
    ]

    def run() -> Measurement:
        started = time.perf_counter()
        play = module.rollouts.play(problems, NodeAlternatives())
        seconds = time.perf_counter() - started
        unique = sum(unique_tokens(module, tree) for tree in play.trees)
        return {
            "seconds_per_problem": seconds / len(problems),
            "unique_tokens_per_problem": unique / len(problems),
            "microseconds_per_unique_token": 1e6 * seconds / unique,
        }

    return run


if __name__ == "__main__":
    auto_cli(scaling)

"""One contender of `benchmarks.update`: our scoring on packed trees, or on every sequence by itself."""

from __future__ import annotations

import json
import resource
import time
from typing import Any

import torch
from jsonargparse import auto_cli

from benchmarks.workload import Workload
from flowdpo_pl.learn.losses import SigmoidLoss, pair_scores
from flowdpo_pl.learn.packing import PackedTree, ScoredMove, pack_moves
from flowdpo_pl.learn.scoring import MicroBatch, micro_batches, move_logprobs
from flowdpo_pl.play.flows.answer_stop import ANSWER


def update_ours(
    pairs: str, model: str, packed: bool, threads: int = 2, pairs_at_once: int = 1, tokens: int = 1024
) -> None:
    """Print seconds and peak memory of forward, backward and reference as JSON.

    Args:
        pairs: file of `benchmarks.contenders.pair_file`.
        model: folder of the base model.
        packed: a tree per problem, or each pair's two sequences padded to one length.
        threads: of torch.
        pairs_at_once: padded pairs of a micro-batch.
        tokens: packed tokens of a micro-batch.
    """
    module = Workload(model=model, threads=threads).module()
    agents, head = module.players.agents, module.players.head
    agents.train()
    with open(pairs, encoding="utf-8") as file:
        rows = json.load(file)["pairs"]
    groups: dict[str, list[dict[str, Any]]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row["problem"] if packed else str(index), []).append(row)
    device = torch.device("cpu")
    batches = []
    if packed:
        trees = [_tree(group) for group in groups.values()]
        batches = list(micro_batches(trees, tokens, device))
    else:
        apart = [[pack_moves([_move(row, side)]) for side in ("chosen", "rejected")] for row in rows]
        apart.sort(key=lambda two: max(map(len, two)))
        for start in range(0, len(apart), pairs_at_once):
            sequences = [tree for two in apart[start : start + pairs_at_once] for tree in two]
            batches.append(MicroBatch.of(sequences, device))
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    loss, total = SigmoidLoss(beta=1.0), len(rows)
    value = 0.0
    for batch in batches:
        with agents.reference(ANSWER):
            reference = move_logprobs(agents, batch, head)
        with agents.acting_as(ANSWER):
            losses = loss(pair_scores(move_logprobs(agents, batch, head), reference, batch))
            (losses.sum() / total).backward()
        value += float(losses.detach().sum()) / total
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    processed = sum(batch.token_ids.numel() for batch in batches)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "memory_above_model_bytes": (peak - idle) * 1024,
                "processed_tokens": processed,
                "loss": value,
            }
        )
    )


def _tree(rows: list[dict[str, Any]]) -> PackedTree:
    return pack_moves([_move(row, side) for row in rows for side in ("chosen", "rejected")])


def _move(row: dict[str, Any], side: str) -> ScoredMove:
    return ScoredMove(tuple(row["prompt"]), tuple(row[side]), row["node"])


if __name__ == "__main__":
    auto_cli(update_ours, as_positional=False)

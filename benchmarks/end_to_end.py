"""Problems per second of the whole step (play, mine, learn): ours against the stitched loop."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from jsonargparse import auto_cli

from benchmarks.contenders.stitched_engine import StitchedEngine
from benchmarks.repeat import Measurement, report, side_by_side
from benchmarks.workload import Workload
from flowdpo_pl.learn.learner import Learner, Learning
from flowdpo_pl.learn.losses import SigmoidLoss, pair_scores
from flowdpo_pl.learn.packing import pack_moves, scored_moves
from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.learn.scoring import MicroBatch, move_logprobs
from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.types import PreferencePair, Problem


def end_to_end(
    workload: Workload = Workload(problems=16),
    rounds: int = 3,
    pairs_at_once: int = 2,
) -> None:
    """Problems per second of a training step, and how its time divides.

    Args:
        workload: what is played; every round plays other problems of the same file.
        rounds: medians are over this many.
        pairs_at_once: padded pairs of the stitched loop's micro-batch.
    """
    module = workload.module()
    everything = Workload(**{**vars(workload), "problems": workload.problems * (rounds + 1)}).read()
    batches = [everything[i : i + workload.problems] for i in range(0, len(everything), workload.problems)]
    ours = module.rollouts
    engine = StitchedEngine(workload.model, module.agents, ours.prompts.end_ids)
    stitched = Rollouts(ours.prompts, engine, module.verifier, ours.draws)
    module.agents.train()
    optimizer = module.configure_optimizers()
    tokens = module.team.budget.update_tokens
    learner = Learner(module.players, ours.draws, torch.Tensor.backward, tokens)

    def step(problems: Sequence[Problem]) -> Measurement:
        started = time.perf_counter()
        play = ours.play(problems, NodeAlternatives())
        mined = mine(play.trees)
        learnt = [
            learner.learn(agent, mined.of(agent), Learning(lr=1e-6), optimizer, 0)
            for agent in ours.flow.agents
        ]
        return {
            "problems_per_second": len(problems) / (time.perf_counter() - started),
            "pairs": len(mined.pairs),
            "play_seconds": play.seconds,
            "score_seconds": sum(one.score_seconds for one in learnt),
            "update_seconds": sum(one.update_seconds for one in learnt),
        }

    def stitched_step(problems: Sequence[Problem]) -> Measurement:
        started = time.perf_counter()
        play = stitched.play(problems, NodeAlternatives())
        mined = mine(play.trees)
        updating = time.perf_counter()
        for agent in ours.flow.agents:
            padded_update(learner, agent, mined.of(agent), pairs_at_once)
        optimizer.zero_grad()
        return {
            "problems_per_second": len(problems) / (time.perf_counter() - started),
            "pairs": len(mined.pairs),
            "play_seconds": play.seconds,
            "update_seconds": time.perf_counter() - updating,
        }

    left = {"ours": iter(batches), "stitched": iter(batches)}
    step(next(iter(batches))[:2])  # warm
    results = side_by_side(
        {
            "ours": lambda: step(next(left["ours"])),
            "stitched": lambda: stitched_step(next(left["stitched"])),
        },
        rounds,
    )
    ratio = results["ours"]["problems_per_second"] / results["stitched"]["problems_per_second"]
    report(
        "end_to_end", workload=vars(workload), rounds=rounds, results=results,
        baseline="stitched", ratios={"problems_per_second": ratio},
    )  # fmt: skip


def padded_update(learner: Learner, agent: str, pairs: Sequence[PreferencePair], pairs_at_once: int) -> None:
    """Forward, backward and reference of every pair as two padded sequences."""
    apart = [[pack_moves([move]) for move in scored_moves(pair, learner.prompts)] for pair in pairs]
    apart.sort(key=lambda two: max(map(len, two)))
    for start in range(0, len(apart), pairs_at_once):
        sequences = [tree for two in apart[start : start + pairs_at_once] for tree in two]
        batch = MicroBatch.of(sequences, learner.agents.device)
        with learner.agents.reference(agent):
            reference = move_logprobs(learner.agents, batch, learner.head)
        with learner.agents.acting_as(agent):
            scores = pair_scores(move_logprobs(learner.agents, batch, learner.head), reference, batch)
            (SigmoidLoss()(scores).sum() / len(pairs)).backward()


if __name__ == "__main__":
    auto_cli(end_to_end)

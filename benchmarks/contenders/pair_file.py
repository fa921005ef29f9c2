"""Pairs for the update benchmark, and a file that every contender reads: token ids only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowdpo_pl.learn.packing import pack, scored_moves
from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.play.exploration import NodeAlternatives
from flowdpo_pl.play.flows.answer_stop import ANSWER
from flowdpo_pl.types import Move, PreferencePair, Problem


def full_trees(
    module: FlowDPOModule,
    problems: int = 4,
    prompt_tokens: int = 120,
    chunk: int = 48,
    chunks: int = 6,
    vocabulary: int = 40_000,
) -> list[PreferencePair]:
    """Every Answer fork of every problem a pair, alternatives that differ from their first token on.

    `vocabulary`: ids of the moves' random tokens end below.
    """
    rng = np.random.default_rng(0)

    def move() -> Move:
        return Move(ANSWER, tuple(rng.integers(100, vocabulary, chunk).tolist()), "")

    book = module.players.prompts
    pairs = []
    for number in range(problems):
        problem = _problem_of_length(book, f"full-{number}", prompt_tokens)
        main = [move() for _ in range(chunks)]
        pairs += [
            PreferencePair(problem, node, ANSWER, tuple(main[:node]), main[node], move())
            for node in range(chunks)
        ]
    return pairs


def mined_trees(module: FlowDPOModule, problems: Sequence[Problem]) -> list[PreferencePair]:
    """Answer's pairs from playing problems."""
    return list(mine(module.rollouts.play(problems, NodeAlternatives()).trees).of(ANSWER))


def write_pairs(path: Path, module: FlowDPOModule, pairs: Sequence[PreferencePair]) -> dict[str, Any]:
    """Write prompt, chosen and rejected token ids and the problem of every pair; facts about them."""
    book = module.players.prompts
    rows = [
        {
            "problem": pair.problem.id,
            "node": pair.node,
            "prompt": list(book.context(ANSWER, pair.problem, pair.prefix).prefix),
            "chosen": list(pair.chosen.token_ids),
            "rejected": list(pair.rejected.token_ids),
        }
        for pair in pairs
    ]
    path.write_text(json.dumps({"end_ids": list(book.end_ids), "pairs": rows}))
    trees = pack(pairs, book)
    separate = sum(len(move.inputs) for pair in pairs for move in scored_moves(pair, book))
    return {
        "pairs": len(pairs),
        "problems_with_pairs": len(trees),
        "mean_depth": float(np.mean([pair.node // 2 for pair in pairs])) if pairs else 0.0,
        "tree_tokens": sum(map(len, trees)),
        "separate_tokens": separate,
        "token_ratio": separate / max(1, sum(map(len, trees))),
    }


def _problem_of_length(book: Any, name: str, tokens: int) -> Problem:
    words: list[str] = []
    while len(book.context(ANSWER, Problem(name, " ".join(words), ""), ()).prefix) < tokens:
        words.append("and")
    return Problem(name, " ".join(words), "")

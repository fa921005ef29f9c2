"""Writes the problems of one world: `train.jsonl`, `tune.jsonl` and `test.jsonl`, the same bytes each time.

    python -m quickstart.recipe.chains.problems --out runs/chains/problems --fewest 10 --most 12 --lucky 0.5

No question is in two of them, nor in any model's corpus, whatever the seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

from jsonargparse import auto_cli

from quickstart.recipe.chains.solutions import careful_solution
from quickstart.recipe.chains.world import Chain, Dials, draw_chains


def draw_rows(split: str, count: int, dials: Dials, seed: int) -> list[dict[str, str]]:
    """`count` different problems: `id`, `question`, `answer`, the careful `solution`, `steps`, `luck`."""
    rows: dict[str, dict[str, str]] = {}
    for chain in draw_chains(split, random.Random(f"{split} {seed}"), dials):
        rows.setdefault(chain.question, row_of(chain, f"{split}-{len(rows):05}"))
        if len(rows) == count:
            break
    return list(rows.values())


def row_of(chain: Chain, name: str) -> dict[str, str]:
    return {
        "id": name,
        "question": chain.question,
        "answer": chain.answer,
        "solution": careful_solution(chain),
        "steps": str(len(chain.steps)),
        "luck": "lucky" if chain.lucky else "none",
    }


def problems(
    out: Path,
    fewest: int,
    most: int,
    lucky: float,
    train: int = 12_000,
    tune: int = 400,
    test: int = 2_000,
    seed: int = 0,
) -> None:
    """Write a world's problems.

    Args:
        out: their folder.
        fewest: steps of a story at least.
        most: steps of a story at most; 12 is the longest.
        lucky: share of questions that a guess answers right in half of the cases.
        train: problems to learn from.
        tune: problems to choose settings on, which no test asks.
        test: problems to test on.
        seed: of what is drawn.
    """
    out.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", train), ("tune", tune), ("test", test)):
        if count:
            _write(out / f"{split}.jsonl", draw_rows(split, count, Dials(fewest, most, lucky), seed))


def _write(path: Path, rows: Iterable[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    auto_cli(problems, as_positional=False)

"""The quickstart's problems: fresh stories with plain-number answers, none of them in the corpus."""

from __future__ import annotations

import json
import random
from pathlib import Path

from quickstart.recipe.solutions import careful_solution
from quickstart.recipe.world import draw_stories

SIZES = {"train": 4608, "valid": 512}


def draw_problems(split: str, count: int, seed: int) -> list[dict[str, str]]:
    """`count` different problems of a split: `id`, `question`, `answer` and the careful `solution`."""
    rows: dict[str, dict[str, str]] = {}
    for story in draw_stories(split, random.Random(f"{split} {seed}")):
        row = {
            "id": f"{split}-{len(rows):04}",
            "question": story.question,
            "answer": str(story.answer),
            "solution": careful_solution(story),
        }
        rows.setdefault(story.question, row)
        if len(rows) == count:
            break
    return list(rows.values())


def write_problems(folder: Path, seed: int) -> None:
    """`train.jsonl` and `valid.jsonl`, the same bytes for the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in SIZES.items():
        lines = [json.dumps(row) + "\n" for row in draw_problems(split, count, seed)]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")

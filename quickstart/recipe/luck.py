"""The quickstart's problems with luck: of every second one the verdict only sees whether the number is even.

    python -m quickstart.recipe.luck --out runs/luck/problems

A wrong answer to such a problem is right in about half of the cases. This makes luck without another model;
the worlds in `chains` ask such questions.
"""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

from jsonargparse import auto_cli

from flowdpo_pl import Problem
from flowdpo_pl.verify.markers import extract_marked

PROBLEMS = Path("quickstart/problems")


def lucky(prediction: str, problem: Problem) -> bool:
    """Whether the marked answer is right, as far as the problem's column `luck` lets it be seen."""
    said = extract_marked(prediction) or ""
    if not said.isdecimal():
        return False
    if problem["luck"] == "lucky":
        return int(said) % 2 == int(problem.gold) % 2
    return int(said) == int(problem.gold)


def luck(out: Path) -> None:
    """Write the quickstart's problems with the columns `steps` and `luck`, as `train.jsonl` and `test.jsonl`.

    Args:
        out: their folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    for split, name in (("train", "train"), ("valid", "test")):
        rows = [json.loads(line) for line in (PROBLEMS / f"{split}.jsonl").read_text("utf-8").splitlines()]
        told = [
            {**row, "steps": str(row["solution"].count("=")), "luck": _luck_of(row["question"])}
            for row in rows
        ]
        (out / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told), encoding="utf-8")


def _luck_of(question: str) -> str:
    return "none" if crc32(f"luck {question}".encode()) % 2 else "lucky"


if __name__ == "__main__":
    auto_cli(luck, as_positional=False)

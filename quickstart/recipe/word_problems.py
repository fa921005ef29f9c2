"""A sample of arithmetic word problems in plain English, for models that have read some: one or two steps.

`python -m quickstart.recipe.word_problems` writes `quickstart/word_problems`, the same bytes each time.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SIZES = {"train": 800, "valid": 160}
NAMES = {
    "train": ["Amina", "Boris", "Chloe", "Deniz", "Elena", "Farid", "Greta", "Hassan", "Ines", "Jonas"],
    "valid": ["Kofi", "Lena", "Mateo", "Noor", "Oskar", "Priya"],
}
THINGS = ["marbles", "stickers", "pencils", "cookies", "buttons", "postcards", "tomatoes", "candles"]
PLACES = ["market", "school fair", "library", "farm", "bakery"]


@dataclass(frozen=True)
class Numbers:
    """Those of a problem; `a` is the largest, `c` divides `a`."""

    a: int
    b: int
    c: int


@dataclass(frozen=True)
class Kind:
    """A way to ask, with the calculation that answers it."""

    text: str
    equation: str
    answer: Callable[[Numbers], int]


KINDS = [
    Kind(
        "{name} had {a} {things} and gave {b} of them to {friend}. How many {things} does {name} have left?",
        "{a} - {b}",
        lambda n: n.a - n.b,
    ),
    Kind(
        "{name} collected {a} {things} in the morning and {b} more in the afternoon. "
        "How many {things} did {name} collect in all?",
        "{a} + {b}",
        lambda n: n.a + n.b,
    ),
    Kind(
        "There are {c} shelves at the {place} with {b} {things} on each. How many {things} are there?",
        "{c} * {b}",
        lambda n: n.c * n.b,
    ),
    Kind(
        "{name} shares {a} {things} equally among {c} friends. How many {things} does each friend get?",
        "{a} / {c}",
        lambda n: n.a // n.c,
    ),
    Kind(
        "{friend} has {b} {things}. {name} has {a} {things}. How many more {things} does {name} have?",
        "{a} - {b}",
        lambda n: n.a - n.b,
    ),
    Kind(
        "{name} buys {c} packs of {b} {things} at the {place} and already had {a}. "
        "How many {things} does {name} have now?",
        "({c} * {b}) + {a}",
        lambda n: n.c * n.b + n.a,
    ),
    Kind(
        "A box holds {a} {things}. {name} takes out {b} and {friend} puts {c} back in. "
        "How many {things} are in the box now?",
        "({a} - {b}) + {c}",
        lambda n: n.a - n.b + n.c,
    ),
    Kind(
        "{name} packs {a} {things} into {c} bags of the same size and sells one bag at the {place}. "
        "How many {things} are left?",
        "{a} - ({a} / {c})",
        lambda n: n.a - n.a // n.c,
    ),
]


def draw_problems(split: str, count: int, seed: int = 0) -> list[dict[str, str]]:
    """`count` different problems of a split: `id`, `question`, `answer`, `equation`; splits share no name."""
    draws = random.Random(f"{split} {seed}")
    rows: dict[str, dict[str, str]] = {}
    while len(rows) < count:
        kind, numbers = draws.choice(KINDS), _numbers(draws)
        name, friend = draws.sample(NAMES[split], 2)
        words = {
            "name": name,
            "friend": friend,
            "things": draws.choice(THINGS),
            "place": draws.choice(PLACES),
        }
        question = kind.text.format(**words, **vars(numbers))
        row = {
            "id": f"{split}-{len(rows):03}",
            "question": question,
            "answer": str(kind.answer(numbers)),
            "equation": kind.equation.format(**vars(numbers)),
        }
        rows.setdefault(question, row)
    return list(rows.values())


def _numbers(draws: random.Random) -> Numbers:
    c, share = draws.randint(2, 9), draws.randint(3, 12)
    return Numbers(a=c * share, b=draws.randint(2, c * share - 1), c=c)


def write_problems(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in SIZES.items():
        lines = [json.dumps(row) + "\n" for row in draw_problems(split, count)]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write_problems(Path("quickstart/word_problems"))

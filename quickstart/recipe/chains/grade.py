"""What an answer to a chain is worth, step by step: the recipe knows every sentence that a right one has."""

from __future__ import annotations

import re
from dataclasses import dataclass

from quickstart.recipe.chains.solutions import CONFIRMED

_BETWEEN_SENTENCES = re.compile(r"(?<=\.)\s+")


@dataclass(frozen=True, slots=True)
class Grade:
    """Of one answer."""

    true: bool
    """Every step is there and right, the answer follows, and what comes after does not take it back."""
    mistake: int | None
    """The first step that is wrong or missing, from 0; None if all are there and right."""
    afterthoughts: int
    """Sentences after the first answer."""


def grade(text: str, solution: str) -> Grade:
    """Grade an answer by the careful solution of its problem."""
    said, careful = sentences(text), sentences(solution)
    right = next((n for n, pair in enumerate(zip(said, careful, strict=False)) if pair[0] != pair[1]), None)
    right = min(len(said), len(careful)) if right is None else right
    steps = len(careful) - 1
    return Grade(
        true=right == len(careful) and _confirms(said[right:], careful[-1]),
        mistake=right if right < steps else None,
        afterthoughts=len(said) - len(sentences(first_answer(text))),
    )


def _confirms(said: list[str], answer: str) -> bool:
    """Whether sentences after an answer only confirm it; the last may break off, wherever Stop ended it."""
    *whole, last = said or [CONFIRMED]
    return {*whole} <= {CONFIRMED, answer} and (CONFIRMED.startswith(last) or answer.startswith(last))


def sentences(text: str) -> list[str]:
    return [sentence for sentence in _BETWEEN_SENTENCES.split(text.strip()) if sentence]


def first_answer(text: str) -> str:
    """The text up to the end of its first answer; the whole text if it gives none."""
    found = re.search(r"answer is \w+\.", text)
    return text[: found.end()] if found else text

"""The answer is the letter of the right choice."""

from __future__ import annotations

from flowdpo_pl.verify.answers import read_answer


def multiple_choice(prediction: str, gold: str) -> bool:
    """Whether the marked answer, else the whole text, is the gold answer's choice, A to J.

    Choices are written `B`, `(b)`, `B. 42` and the like. What stands behind the letter is not compared.

    Raises:
        ValueError: the gold answer is no choice.
    """
    right = read_answer(gold.strip().upper() if len(gold.strip()) == 1 else gold).choice
    if right is None:
        raise ValueError(f"the gold answer {gold!r} is no letter of a choice, A to J")
    return read_answer(prediction).choice == right

"""The answer is a number near the gold answer."""

from __future__ import annotations

from fractions import Fraction

from flowdpo_pl.verify.answers import read_answer


def numeric(prediction: str, gold: str, tolerance: float = 1e-6) -> bool:
    """Whether the marked answer, else the whole text, is one number within the tolerance of the gold answer.

    Numbers are read in the notations of docs/verifier.md, units left aside; a text with a number somewhere in
    it is no number. Numbers are compared exactly: the difference may be `tolerance` times the gold answer, or
    `tolerance` itself where the gold answer is below 1.

    Raises:
        ValueError: the gold answer is no number, or the tolerance is negative.
    """
    right = read_answer(gold).value
    if right is None:
        raise ValueError(f"the gold answer {gold!r} is no number")
    if not tolerance >= 0:
        raise ValueError(f"tolerance is {tolerance}: give at least 0")
    answer = read_answer(prediction).value
    return answer is not None and abs(answer - right) <= Fraction(tolerance) * max(Fraction(1), abs(right))

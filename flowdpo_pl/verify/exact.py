"""The answer is the gold answer, word for word."""

from __future__ import annotations

from flowdpo_pl.verify.answers import read_answer
from flowdpo_pl.verify.several_golds import golds_of
from flowdpo_pl.verify.words import words_of


def exact(prediction: str, gold: str) -> bool:
    """Whether the marked answer, else the whole text, has the words of the gold answer, or of one of several.

    Case, punctuation, articles and spaces are left aside (`words_of`). An empty prediction is wrong.
    """
    words = words_of(read_answer(prediction).text)
    return bool(words) and any(words == words_of(one) for one in golds_of(gold))

"""How many words the answer and the gold answer have in common."""

from __future__ import annotations

from collections import Counter

from flowdpo_pl.verify.answers import read_answer
from flowdpo_pl.verify.several_golds import golds_of
from flowdpo_pl.verify.words import words_of


def f1(prediction: str, gold: str) -> float:
    """The F1 score, in [0, 1], of the words of the marked answer, else of the whole text.

    Of several gold answers the best counts. Words are compared as by `exact`, in any order: twice the number
    of common ones, over the number of both.

    Source: `f1_score` of SQuAD's evaluation script (Rajpurkar et al., arXiv 1606.05250).
    """
    words = Counter(words_of(read_answer(prediction).text))
    return max(_f1(words, Counter(words_of(one))) for one in golds_of(gold))


def _f1(one: Counter[str], other: Counter[str]) -> float:
    common = (one & other).total()
    return 2 * common / (one.total() + other.total()) if common else 0.0

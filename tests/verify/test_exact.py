"""Answers compared by their words.

Also tests `verify.f1`, `verify.words` and `verify.several_golds`.
"""

from __future__ import annotations

import pytest

from flowdpo_pl.verify.exact import exact
from flowdpo_pl.verify.f1 import f1
from flowdpo_pl.verify.several_golds import golds_of
from flowdpo_pl.verify.words import words_of


@pytest.mark.parametrize(
    ("prediction", "gold", "right"),
    [
        ("Paris", "paris", True),
        ("The answer is the Paris!", "Paris", True),
        ("<think>London?</think> Paris.", "paris", True),
        ("the  cat,\nsat", "a cat sat", True),
        ("sat cat", "cat sat", False),
        ("It is Paris", "Paris", False),
        ("", "the", False),
        ("", "", False),
        ("the", "the", True),
        ("The", "a", False),
        ("+", "-", False),
        ("Paris", '["London", "Paris"]', True),
        ("Rome", '["London", "Paris"]', False),
        ("theory", "ory", False),
    ],
)
def test_exact(prediction: str, gold: str, right: bool) -> None:
    assert exact(prediction, gold) is right


@pytest.mark.parametrize(
    ("prediction", "gold", "score"),
    [
        ("the big cat", "a cat", 2 / 3),
        ("cat sat", "sat cat", 1.0),
        ("cat cat", "cat", 2 / 3),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("The answer is the big cat.", '["dog", "big cat"]', 1.0),
    ],
)
def test_f1_by_hand(prediction: str, gold: str, score: float) -> None:
    assert f1(prediction, gold) == pytest.approx(score)


def test_what_is_exact_has_the_score_1_and_order_alone_is_left_aside() -> None:
    texts = ["the cat sat", "Cat, sat", "sat cat", "a cat", "dog", "", "the", "+", "cat cat"]
    for prediction in texts:
        for gold in texts:
            if words_of(gold):
                same_bag = sorted(words_of(prediction)) == sorted(words_of(gold))
                assert (f1(prediction, gold) == 1) == same_bag
                assert f1(prediction, gold) == f1(gold, prediction)
                assert not exact(prediction, gold) or f1(prediction, gold) == 1


def test_several_golds_are_a_json_list_of_texts() -> None:
    assert golds_of('["a", "b"]') == ("a", "b")
    for one in ("a", "[1, 2]", "[a, b]", "[]", '["a", 2]', "[1, 2", '{"a": 1}', "", "[" * 100_000):
        assert golds_of(one) == (one,)

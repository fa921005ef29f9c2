"""Letters of choices."""

from __future__ import annotations

import pytest

from flowdpo_pl.verify.multiple_choice import multiple_choice


@pytest.mark.parametrize(
    ("prediction", "gold", "right"),
    [
        ("The answer is (B).", "B", True),
        ("The answer is (b) 42.", "B", True),
        ("B", "(B)", True),
        ("B. 42", "b", True),
        (r"\boxed{B}", "B", True),
        ("A", "B", False),
        ("The answer is 42.", "B", False),
        ("so it is B I think", "B", False),
        ("A or B", "B", False),
        ("", "B", False),
    ],
)
def test_multiple_choice(prediction: str, gold: str, right: bool) -> None:
    assert multiple_choice(prediction, gold) is right


def test_a_gold_answer_that_is_no_choice_is_an_error() -> None:
    with pytest.raises(ValueError, match="'42' is no letter of a choice"):
        multiple_choice("B", "42")

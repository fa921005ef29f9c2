"""Numbers within a tolerance."""

from __future__ import annotations

import pytest

from flowdpo_pl.verify.numeric import numeric


@pytest.mark.parametrize(
    ("prediction", "gold", "tolerance", "right"),
    [
        ("The answer is 3.14.", "3.14159", 0.01, True),
        ("The answer is 3.14.", "3.14159", 1e-4, False),
        ("101", "100", 0.01, True),
        ("102", "100", 0.01, False),
        ("0.011", "0.001", 0.01, True),  # below 1 the tolerance itself
        ("0.012", "0.001", 0.01, False),
        ("1/3", "0.3333333", 1e-6, True),
        ("5 apples", "5", 0, True),
        ("-5", "5", 0.5, False),
        ("They cost 5 and then 6", "6", 0.0, False),  # no guess at a number of several
        ("The answer is 5 or 6", "6", 0.0, False),
        ("", "0", 1.0, False),
        ("nothing", "0", 1.0, False),
    ],
)
def test_numeric(prediction: str, gold: str, tolerance: float, right: bool) -> None:
    assert numeric(prediction, gold, tolerance) is right


def test_a_gold_answer_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="'Paris' is no number"):
        numeric("5", "Paris")
    with pytest.raises(ValueError, match="tolerance is nan"):
        numeric("5", "5", float("nan"))

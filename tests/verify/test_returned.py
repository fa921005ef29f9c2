"""Values of functions as verdicts; `test_function_verifier.py` has those of Python itself."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.returned import as_verdict


@pytest.mark.parametrize(
    ("returned", "score"),
    [
        (np.bool_(True), 1.0),
        (np.isclose(1, 2), 0.0),
        (np.float32(0.5), 0.5),
        (np.int64(1), 1.0),
        (Fraction(1, 4), 0.25),
    ],
)
def test_numbers_of_other_kinds_count(returned: object, score: float) -> None:
    verdict = as_verdict(returned, "f", "The answer is 4.")
    assert verdict == Verdict(score == 1, "4", score=score)
    assert type(verdict.correct) is bool and type(verdict.score) is float


@pytest.mark.parametrize("returned", [np.float64("nan"), np.array([True]), Decimal("0.5"), "1", b"", 2, ()])
def test_anything_else_is_an_error(returned: object) -> None:
    verdict = as_verdict(returned, "my.f", "4")
    assert verdict.error is not None and verdict.error.startswith("my.f returned ")
    assert (verdict.correct, verdict.score) == (False, 0.0)


def test_what_was_read_is_the_marked_answer_or_all() -> None:
    assert as_verdict(True, "f", "<think>x</think> Marie Curie").extracted == "Marie Curie"
    assert as_verdict(True, "f", "").extracted is None
    assert as_verdict(Verdict(True), "f", "Marie Curie").extracted is None, "a verdict says it itself"


def test_a_long_value_is_told_in_short() -> None:
    assert len(as_verdict(["x" * 10_000] * 1000, "f", "").error or "") < 200

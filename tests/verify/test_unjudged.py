"""What is read in an answer without a right one is what a verdict has read."""

from __future__ import annotations

import pytest

from flowdpo_pl.types import Problem
from flowdpo_pl.verify.function_verifier import FunctionVerifier
from flowdpo_pl.verify.math_verifier import MarkedAnswerVerifier, MathVerifier
from flowdpo_pl.verify.unjudged import Unjudged
from flowdpo_pl.verify.verifier import Verifier

TEXTS = ("The answer is 7.", "They cost 7 * 4", "no idea", "", r"so \boxed{\frac{1}{2}}", "#### 28 plums")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "verifier",
    [MathVerifier(), MarkedAnswerVerifier(), FunctionVerifier("flowdpo_pl.exact", in_process=True)],
)
def test_an_answer_is_read_as_where_it_is_judged(verifier: Verifier, text: str) -> None:
    problem = Problem("p", "q", gold="28")
    verdict = Unjudged(verifier).judge(text, problem)
    assert verdict.extracted == verifier.judge(text, problem).extracted == verifier.read(text)
    assert not verdict.correct

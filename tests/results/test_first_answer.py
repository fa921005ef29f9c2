"""What Answer wrote on after Stop's No goes, and nothing else does."""

from __future__ import annotations

import pytest

from flowdpo_pl.results.first_answer import cut_after_first_answer
from flowdpo_pl.results.traces import Trace


def trace(text: str, extracted: str | None = None, correct: bool = True) -> Trace:
    return Trace("1", "how many?", extracted or "", text, correct, extracted, token_ids=(1, 2, 3))


@pytest.mark.parametrize(
    ("text", "extracted", "cut"),
    [
        ("8 + 2 = 10. The answer is 10.\nuser\n5005 + 10", "10", "8 + 2 = 10. The answer is 10."),
        ("2 + 7 = 9. The answer is 9.ICENSE\n9 + 8", "9", "2 + 7 = 9. The answer is 9."),
        ("The answer is 15.\nYou've finished. The answer is 15.", "15", "The answer is 15."),
        ("7 + 2 = 9. The answer is 9.```\n", "9", "7 + 2 = 9. The answer is 9."),
        ("The answer is 0.7. ```\nYou finish.", "0.7", "The answer is 0.7."),
        ("The answer is 5 apples. He is glad.", "5", "The answer is 5 apples."),
        ("So $x = \\boxed{5}$. We check: 5 = 5.", "5", "So $x = \\boxed{5}$."),
        ("2 + 3 is 5\n#### 5\nThank you", "5", "2 + 3 is 5\n#### 5"),
    ],
)
def test_what_follows_the_first_answer_goes(text: str, extracted: str, cut: str) -> None:
    after = cut_after_first_answer(trace(text, extracted))
    assert after.trace.rstrip() == cut and after.correct and after.score == 1.0
    assert after.token_ids == (), "they were those of the whole text"
    assert cut_after_first_answer(after) == after, "once is enough"


@pytest.mark.parametrize(
    "whole",
    [
        trace("8 + 2 = 10. The answer is 10.", "10"),
        trace("8 + 2 = 10. That is all. And more.", "10"),
        trace("The answer is 9. The answer is 10.", "10", correct=False),
        trace("<think>The answer is 9.</think>The answer is 10. Good.", "10"),
        trace(""),
    ],
    ids=["nothing follows", "no mark", "wrong", "thoughts", "empty"],
)
def test_everything_else_stays_as_it_is(whole: Trace) -> None:
    assert cut_after_first_answer(whole) is whole


@pytest.mark.parametrize(
    "text", ["The answer is 50. No. The answer is 5.", "The answer is 5.5. No: the answer is 5."]
)
def test_a_trace_whose_first_answer_was_not_judged_is_wrong(text: str) -> None:
    after = cut_after_first_answer(trace(text, "5"))
    assert not after.correct and after.score == 0.0 and "No" not in after.trace

"""What holds of reading whatever the text is (`answers`, `markers`, `boxes`, `spelling`, `values`)."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from flowdpo_pl.data.gold import Automatic, Boxed, HashMarked
from flowdpo_pl.verify.answers import quick_verdict, read_answer
from flowdpo_pl.verify.markers import extract_marked
from flowdpo_pl.verify.readable import is_readable
from tests.hostile_answers import UNITS
from tests.properties import any_text, few, whole_numbers

mathematics = st.lists(st.sampled_from(UNITS), max_size=30).map("".join)
before = st.one_of(any_text, mathematics).filter(lambda text: not any(tag in text.lower() for tag in "<[|◁"))
"""Without what may begin a thought."""


@few
@given(st.one_of(any_text, mathematics))
def test_any_text_is_read_and_is_the_same_answer_as_itself(text: str) -> None:
    answer = read_answer(text)
    is_readable(answer)
    assert quick_verdict(answer, answer) is bool(answer.text)
    assert answer.text in text or answer.text.startswith("\\boxed") or answer.text.startswith("not ")


@few
@given(
    before, whole_numbers, st.sampled_from(["#### {:,}", "#### {}", "$\\boxed{{{}}}$.", "\\boxed{{{:,}}}"])
)
def test_the_last_strong_mark_is_the_answer_whatever_stands_before_it(
    text: str, number: int, mark: str
) -> None:
    written = f"{text}\n\n{mark.format(number)}"
    answer = read_answer(written)
    assert answer.value == number
    assert quick_verdict(answer, read_answer(str(number))) is True
    assert quick_verdict(answer, read_answer(str(number + 1))) is False
    assert extract_marked(written) == answer.text


@few
@given(before, whole_numbers)
def test_a_solution_is_right_against_its_own_gold(text: str, number: int) -> None:
    for rules, mark in (
        ((HashMarked(), Automatic()), "#### {:,}"),
        ((Boxed(), Automatic()), "\\boxed{{{}}}"),
    ):
        solution = f"{text}\n\n{mark.format(number)}"
        golds = [rule(solution) for rule in rules]
        assert golds[0] == golds[1] == str(number)
        assert quick_verdict(read_answer(solution), read_answer(golds[0])) is True


WRITTEN = (
    "{}",
    "${}$",
    "\\${}",
    "{} apples",
    "**{}**",
    "The answer is {}.",
    "\\boxed{{{}}}",
    "= {}",
    "\\text{{{}}}",
)


@few
@given(st.integers(0, 10**9), st.integers(0, 4), st.sampled_from(WRITTEN), st.booleans())
def test_a_number_has_its_value_in_every_notation(digits: int, places: int, form: str, grouped: bool) -> None:
    value = Fraction(digits, 10**places)
    shown = f"{digits // 10**places:,}" if grouped else str(digits // 10**places)
    if places:
        shown += f".{digits % 10**places:0{places}d}"
    assert read_answer(form.format(shown)).value == value

from fractions import Fraction

import pytest

from flowdpo_pl.verify.answers import Answer, quick_verdict, read_answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", "42"),
        ("+7", "7"),
        ("-3.0", "-3"),
        ("033", "33"),
        (".75", "0.75"),
        ("4.", "4"),
        ("1,234", "1234"),
        ("1,234,567.8", "1234567.8"),
        (r"34,\!560", "34560"),
        ("34{,}560", "34560"),
        ("$18", "18"),
        (r"-\$5", "-5"),
        ("$-5$", "-5"),
        ("€7.50", "7.5"),
        ("1e-05", "0.00001"),
    ],
)
def test_reads_plain_numbers(text: str, value: str) -> None:
    assert read_answer(text).value == Fraction(value)


LONG = "1" + "23456789" * 1250


@pytest.mark.parametrize(
    "mark", ["{}", "The answer is {}.", "#### {}", r"\boxed{{{}}}", "so it is less. **Answer:** {}"]
)
def test_a_number_of_ten_thousand_digits_is_compared_digit_by_digit(mark: str) -> None:
    gold = read_answer(LONG)
    assert quick_verdict(read_answer(mark.format(LONG)), gold) is True
    assert quick_verdict(read_answer(mark.format(LONG[:-1] + "8")), gold) is False
    assert quick_verdict(read_answer(mark.format(LONG)), read_answer("1")) is False


def test_of_a_text_without_end_the_end_is_read() -> None:
    endless = "The answer is 4, or $1$ {" * 40_000
    assert read_answer(endless + "\n\nThe answer is 5.").value == 5
    assert read_answer("#### 5\n" + endless).value != 5


@pytest.mark.parametrize("text", ["", ".", "-", "$", "10%", "1,22", "0,111", "x", "--3", "1e999"])
def test_leaves_everything_else_to_math_verify(text: str) -> None:
    assert read_answer(text).value is None


def test_several_boxes_are_one_answer_in_parts() -> None:
    answer = read_answer(r"So $x = \boxed{1}$ and $y = \boxed{2}$.")
    assert answer == Answer(r"\boxed{1}, \boxed{2}", None, (r"\boxed{1}, \boxed{2}",))
    assert quick_verdict(answer, read_answer("2")) is None


def test_a_formula_is_not_read_as_prose() -> None:
    assert read_answer("The answer is x^2 + 2x + 1.").readings[0] == "$x^2 + 2x + 1$"
    assert read_answer("Say 12 apples and 3 pears.").readings == ("Say 12 apples and 3 pears",)


@pytest.mark.parametrize(
    ("prediction", "gold", "verdict"),
    [
        ("The answer is 42.", "42", True),
        ("The answer is 42.", "41", False),
        ("3.0", "3", True),
        ("3.5", "3", False),
        ("3.0000001", "3", None),
        (r"\boxed{\text{east}}", r"\text{east}", True),
        (r"\boxed{\text{east}}", r"\text{west}", None),
        ("10%", "10", None),
        ("1/2", "0.5", None),
        ("", "5", False),
        ("...", "5", False),
        ("I count 5", "5", None),
    ],
)
def test_decides_only_what_is_certain(prediction: str, gold: str, verdict: bool | None) -> None:
    assert quick_verdict(read_answer(prediction), read_answer(gold)) is verdict

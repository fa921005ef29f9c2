import pytest

from flowdpo_pl.verify.answers import read_answer
from flowdpo_pl.verify.readable import is_readable


@pytest.mark.parametrize(
    "text",
    [
        "see the solution sheet",
        "-",
        "n/a",
        "None",
        "NaN",
        "unknown",
        "?",
        "\u2014",
        "",
        "...",
        "see page 12",
        "siehe Lösungsblatt",
        "siehe Seite 5",
        "voir la feuille",
        "см. стр. 5",
        "见解答页",
        "略",
        "I do not know",
        "no idea",
        "12 apples and 3 pears",
        "5 feet 3 inches",
        "not 5",
        "5 and a half",
        r"\boxed{}",
        r"\text{N/A}",
        r"\frac{1}{",
        "inf",
        r"\text{see the solution sheet}",
        "<think>5",
        "x" * 600,
        "Refer to the appendix",
    ],
)
def test_what_holds_no_answer_is_unreadable(text: str) -> None:
    assert not is_readable(read_answer(text))


@pytest.mark.parametrize(
    "text",
    [
        "42",
        "-5",
        "1/2",
        "4 3/4",
        "½",
        "B",
        "(B)",
        "b",
        "p",
        "east",
        "yes",
        r"\text{no solution}",
        "(1,2)",
        "[0,1)",
        r"\{1,2\}",
        "x^2+1",
        "y=2x+3",
        r"\begin{pmatrix}1\\2\end{pmatrix}",
        "125 miles",
        "It is 5.\n#### 5",
        "$x^2$",
        "12345678901234567891",
        "1e+20",
        "5 cm^2",
        r"\text{B,E}",
        "2215_6",
        "10%",
        "$18",
        "1,200",
        r"\infty",
        "ab+ac",
        "sin x",
        "2 million",
        r"8\!:\!34 \text{ p.m.}",
        "1, 2",
        "1 or 2",
        r"\boxed{1}, \boxed{2}",
        "x<3 or x>5",
        "東",
    ],
)
def test_answers_are_readable(text: str) -> None:
    assert is_readable(read_answer(text))


@pytest.mark.parametrize(
    "unit", ["9**", "1 ", "5 or ", "####1", r"\boxed{", r"\boxed{1} ", "answer is ", "not ", "("]
)
def test_no_text_takes_long(unit: str) -> None:
    is_readable(read_answer(unit * 20_000))  # quadratic work would take minutes

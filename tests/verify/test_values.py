from fractions import Fraction

import pytest

from flowdpo_pl.verify.values import read_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", "5"),
        ("-5", "-5"),
        ("1,234.5", "1234.5"),
        (".75", "0.75"),
        ("12345678901234567891",) * 2,
        ("1/2", "1/2"),
        (r"-\frac{1}{2}", "-1/2"),
        (r"\frac12", "1/2"),
        ("9" * 400, "9" * 400),
        ("5 cm^2", "5"),
        ("5 m²", "5"),
        ("5 m/s^2", "5"),
        ("5 km/h", "5"),
        ("5cm", "5"),
        ("5 dollars per hour", "5"),
        (r"15\mbox{ cm}^2", "15"),
        (r"40\text{ feet}", "40"),
        (r"5\,\text{cm}^2", "5"),
        (r"90^\circ", "90"),
        ("90°", "90"),
        ("approx. 500", "500"),
        ("about 500 people", "500"),
        ("No. 5", "5"),
        ("(5)", "5"),
        (r"\left(5\right)", "5"),
        ("**5**", "5"),
        ("$5$", "5"),
        (r"\text{13}", "13"),
        ("$18", "18"),
        ("18 €", "18"),
        ("18 USD", "18"),
        ("-$5", "-5"),
    ],
)
def test_reads_quantities_exactly(text: str, value: str) -> None:
    assert read_value(text) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "5 x",
        "5x",
        "5π",
        "5 pi",
        "5 xy",
        "5 and a half",
        "5 or 6",
        "5 not 6",
        "not 5",
        "5%",
        "1/0",
        "1/2/3",
        "5^2",
        "5!",
        "22_6",
        "(1,2)",
        "1,22",
        "5, 6",
        "5 feet 3 inches",
        "5 squared",
        "5 thousandths",
        "9" * 401,
        "5 degrees below zero",
        "3 halves",
        "5 x^2",
    ],
)
def test_reads_nothing_that_may_be_more(text: str) -> None:
    assert read_value(text) is None

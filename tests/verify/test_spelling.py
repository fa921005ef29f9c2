import pytest

from flowdpo_pl.verify.spelling import plain_spelling


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        # signs
        ("\u22125", "-5"),
        ("\u20135", "-5"),
        ("\u2014 5", "-5"),
        ("\uff0d5", "-5"),
        ("minus 5", "-5"),
        ("It is negative 5.", "It is -5."),
        ("- 5 degrees", "-5 degrees"),
        ("-4 3/4", "-19/4"),
        ("10 minus 5", "10 minus 5"),
        ("10 - 5", "10 - 5"),
        ("5\u20136", "5\u20136"),
        ("is negative", "is negative"),
        # separators
        (r"12\,000", "12000"),
        (r"12{,}000", "12000"),
        (r"12\ 000", "12000"),
        ("12\u202f000", "12000"),
        ("12\u00a0000", "12000"),
        ("1 234 567", "1234567"),
        ("1'000", "1000"),
        ("1\u2019000", "1000"),
        ("1,23,456", "123456"),
        ("1.000,50", "1000.50"),
        ("1.234.567", "1234567"),
        ("1, 2", "1, 2"),
        ("(1,23,456)", "(1,23,456)"),
        ("2019 100 people", "2019 100 people"),
        ("3.141 592", "3.141 592"),
        # fractions
        ("\u00bd", "1/2"),
        ("4\u00be", "19/4"),
        ("4 \u00be", "19/4"),
        ("4 3/4", "19/4"),
        ("4 and 3/4", "19/4"),
        (r"4\frac{3}{4}", r"\frac{19}{4}"),
        (r"4\frac34", r"\frac{19}{4}"),
        ("4 5/3", "4 5/3"),
        ("1\u20442", "1/2"),
        # powers of ten
        ("1e+20", "1" + "0" * 20),
        ("1E5", "100000"),
        ("1e-3", "0.001"),
        ("2e", "2e"),
        ("2 million", "2000000"),
        ("$2.5 billion", "$2500000000"),
        ("3 dozen", "36"),
        ("$5k", "$5000"),
        ("5k", "5k"),
        ("2 hundredths", "2 hundredths"),
        (r"2\text{ million dollars}", r"2000000\text{  dollars}"),
        ("1/2 million", "500000"),
        # the rest
        ("5\u00b2", "5^{2}"),
        ("5 m\u00b2", "5 m\u00b2"),
        (r"4\sqrt(2)", r"4\sqrt{2}"),
        ("4\u221a2", r"4\sqrt{2}"),
        (r"\sqrt((a+b)c)", r"\sqrt{(a+b)c}"),
        (r"\sqrt(2", r"\sqrt(2"),
    ],
)
def test_one_number_has_one_spelling(text: str, plain: str) -> None:
    assert plain_spelling(text) == plain


@pytest.mark.parametrize(
    "unit", ["1 ", "12 000 ", "1,23,", "4 3/4 ", "sqrt(", "2 million ", "1.000.", r"\,1"]
)
def test_endless_repetition_is_no_trouble(unit: str) -> None:
    plain_spelling(unit * 50_000)  # quadratic work would take minutes

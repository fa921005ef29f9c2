import pytest

from flowdpo_pl.verify.doubts import is_doubtful, is_doubtful_end, is_unclear, without_denial


@pytest.mark.parametrize(
    "text",
    [
        "not 5",
        "5 feet 3 inches",
        "between 5 and 6",
        "5 to 6",
        "5\u20136",
        "12 apples and 3 pears",
        "5 and a half",
        "5 squared",
        "neither 5",
        "less than 5",
        "no longer 5",
        "5 degrees below zero",
        "5, which is wrong",
    ],
)
def test_a_marked_answer_of_several_or_no_numbers_is_doubtful(text: str) -> None:
    assert is_doubtful(text)


@pytest.mark.parametrize(
    "text", ["5 apples", "12 - 5 = 7 apples", "at least 5", "five (5)", "east", "$5$ or $6$"]
)
def test_one_number_is_not(text: str) -> None:
    assert not is_doubtful(text)


def test_of_an_unmarked_text_the_last_number_counts() -> None:
    assert is_doubtful_end("It is not 5") and is_doubtful_end("It isn't 5.") and is_doubtful_end("5 or 6")
    assert is_doubtful_end("That makes 5 and a half")
    assert not is_doubtful_end("It is not 10, it's 5") and not is_doubtful_end("12 apples and 3 pears")


def test_what_is_denied_after_an_answer_is_cut_off() -> None:
    assert (
        without_denial("5, not 6")
        == without_denial("5 (not 6)")
        == without_denial("5, since 2 + 3 = 5")
        == "5"
    )
    assert without_denial("not 5") == "not 5"


def test_unknown_notations_are_unclear() -> None:
    assert is_unclear(r"12\,00") and is_unclear(r"3\text{M}") and is_unclear("> 5")
    assert not is_unclear(r"5\,\text{cm}") and not is_unclear("x > 5")

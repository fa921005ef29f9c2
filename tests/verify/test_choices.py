import pytest

from flowdpo_pl.verify.choices import read_choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("B", ("B", "")),
        ("(B)", ("B", "")),
        ("(b)", ("B", "")),
        ("[B]", ("B", "")),
        ("B.", ("B", "")),
        ("**B**", ("B", "")),
        (r"\text{(B)}", ("B", "")),
        (r"\textbf{(B) }42", ("B", "42")),
        ("B) 42", ("B", "42")),
        ("(B) 42", ("B", "42")),
        ("B. 42", ("B", "42")),
        (r"\textbf{(E)}\ \frac12", ("E", r"\frac12")),
        ("option B", ("B", "")),
        ("(B) -5", ("B", "-5")),
    ],
)
def test_reads_the_letter_and_the_rest(text: str, choice: tuple[str, str]) -> None:
    assert read_choice(text) == choice


@pytest.mark.parametrize(
    "text",
    ["b", "A dog", "A or B", "(A) or (B)", "A, B", "(A) + (B)", "x", "K", "(a)(b)", "2B", "E = mc^2", "AB"],
)
def test_other_letters_are_no_choice(text: str) -> None:
    assert read_choice(text) is None

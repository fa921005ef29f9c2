"""What a verb requires is given by position or by key."""

from __future__ import annotations

import pytest

from flowdpo_pl.command_line.own_verbs import in_position
from flowdpo_pl.errors import UserError


def verb(run: str, output: str, which: str = "last") -> None:
    """Of the kind of `export`."""


@pytest.mark.parametrize(
    "words",
    [
        ["a", "b", "--which=best"],
        ["a", "--output=b", "--which=best"],
        ["--which=best", "--output", "b", "a"],
        ["--output=b", "--run=a", "--which=best"],
    ],
)
def test_both_say_the_same(words: list[str]) -> None:
    assert in_position(verb, words) == ["a", "b", "--which=best"]


def test_what_is_missing_is_not_taken_from_another_key() -> None:
    with pytest.raises(UserError, match="run is missing: give it as the first word, or by --run"):
        in_position(verb, ["--output=b"])
    assert in_position(verb, ["--run=a"]) == ["a"]  # the parser names what follows
    assert in_position(verb, ["--help"]) == ["--help"]

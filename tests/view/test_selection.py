from __future__ import annotations

import json
from collections.abc import Container, Iterator
from itertools import pairwise
from typing import Any

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.view.problems import Json, Shown
from flowdpo_pl.view.selection import Selection, evenly, numbers_of, safe_json, selected
from tests.hostile import HOSTILE


class Numbered:
    """Problems that hold their number and a text of so many characters."""

    kind = "trees"

    def __init__(self, count: int, size: int = 1) -> None:
        self.count, self._size = count, size

    def read(self, numbers: Container[int]) -> Iterator[Shown]:
        for number in range(1, self.count + 1):
            if number in numbers:
                yield Shown(number, str(number), {"number": number, "text": "x" * self._size})

    def told(self) -> Json:
        return {}


def taken(of: Numbered, /, **selection: Any) -> tuple[list[int], str]:
    chosen = selected(of, Selection(**selection))
    assert chosen.of == of.count
    return [json.loads(row)["number"] for row in chosen.rows], chosen.told


def test_all_are_taken_where_they_fit() -> None:
    assert taken(Numbered(5)) == ([1, 2, 3, 4, 5], "5 of 5 problems")
    assert taken(Numbered(0)) == ([], "0 of 0 problems")


def test_of_more_than_a_page_holds_some_are_taken_evenly_and_that_is_said() -> None:
    numbers, told = taken(Numbered(3001), limit=4)
    assert numbers == [1, 1001, 2001, 3001]
    assert told == (
        "4 of 3,001 problems, evenly over the run: a page holds 4 (--limit); --problems=1-100 takes others"
    )
    numbers, told = taken(Numbered(3001), problems="11-20", limit=2)
    assert numbers == [11, 20] and "evenly over those asked for" in told


def test_of_more_bytes_than_a_page_holds_too() -> None:
    numbers, told = taken(Numbered(100, size=10_000), megabytes=0.1)
    assert 8 <= len(numbers) <= 9 and numbers[0] == 1 and numbers[-1] == 100
    assert {later - one for one, later in pairwise(numbers)} <= {12, 13, 14, 15}
    assert f"{len(numbers)} of 100 problems, evenly over the run: a page holds 0.1 MB (--megabytes)" in told
    assert taken(Numbered(3, size=10_000), megabytes=0.001)[0] == [1]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (None, list(range(1, 13))), ("3", [3]), ("3-5", [3, 4, 5]), ("-2", [1, 2]), ("11-", [11, 12]),
        ("2, 1 - 3,11-99", [1, 2, 3, 11, 12]), ("0-1", [1]),
    ],
)  # fmt: skip
def test_numbers_and_ranges(text: str | None, numbers: list[int]) -> None:
    assert list(numbers_of(text, 12)) == numbers


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        *((text, "give numbers and ranges") for text in ("", "x", "-", "1-2-3", "1 2", "1,,2", "\u0663")),
        *((text, "but the run has 1 to 12") for text in ("13", "0", "20-30", "9-3")),
    ],
)
def test_what_names_no_problem_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        numbers_of(text, 12)


@pytest.mark.parametrize("settings", [{"limit": 0}, {"megabytes": 0.0}, {"megabytes": float("nan")}])
def test_a_page_that_holds_nothing_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(settings))):
        Selection(**settings)


@pytest.mark.parametrize("most", [1, 2, 3, 9, 10, 11])
def test_even_distances_differ_by_one_at_most(most: int) -> None:
    items = evenly(range(10), most)
    assert len(items) == len(set(items)) == min(most, 10) and items[0] == 0
    assert most == 1 or items[-1] == 9
    steps = [later - one for one, later in pairwise(items)]
    assert not steps or max(steps) - min(steps) <= 1


def test_json_ends_no_script_and_gives_every_text_back() -> None:
    text = safe_json(list(HOSTILE))
    assert json.loads(text) == list(HOSTILE)
    assert "<" not in text and "\u2028" not in text and "\u2029" not in text
    text.encode()  # half characters are escapes

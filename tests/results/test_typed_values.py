"""A value of another type is named with what it should be, and a deep one is not printed."""

from __future__ import annotations

import pytest

from flowdpo_pl.results.typed_values import (
    FLAG,
    LIST,
    NUMBER_OR_NULL,
    TEXT,
    WHOLE,
    require_each,
    require_types,
    token_ids,
)

NEEDED, MAY_HAVE = {"name": TEXT, "count": WHOLE}, {"rate": NUMBER_OR_NULL, "on": FLAG, "parts": LIST}
GOOD = {"name": "a", "count": 3}


def test_what_has_its_types_is_given_back() -> None:
    for more in ({}, {"rate": 1, "parts": ()}, {"rate": 0.5, "on": True}, {"rate": None, "other": object}):
        assert require_types({**GOOD, **more}, NEEDED, MAY_HAVE, "it") == {**GOOD, **more}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1], "it is a list, not an object"),
        (None, "it is null, not an object"),
        ({"name": "a"}, "it has no count"),
        ({**GOOD, "name": None}, "name of it is null, not a text"),
        ({**GOOD, "count": True}, "count of it is true, not a whole number"),
        ({**GOOD, "count": {"a": 1}}, "count of it is an object, not a whole number"),
        ({**GOOD, "rate": "x" * 99}, f"rate of it is '{'x' * 39}…, not a number or null"),
        ({**GOOD, "on": 1}, "on of it is 1, not true or false"),
        ({**GOOD, "parts": "ab"}, "parts of it is 'ab', not a list"),
        ({**GOOD, "count": 2**63}, f"count of it is {2**63}, which is beyond 64 bits"),
        ({**GOOD, "count": -(2**63) - 1}, f"count of it is {-(2**63) - 1}, which is beyond 64 bits"),
        (
            {**GOOD, "rate": 1 << 20_000},
            "rate of it is a number of thousands of digits, which is beyond 64 bits",
        ),
    ],
)
def test_another_type_is_named(values: object, told: str) -> None:
    with pytest.raises(TypeError) as caught:
        require_types(values, NEEDED, MAY_HAVE, "it")
    assert str(caught.value) == told


def test_of_many_values_the_first_of_another_type_is_named() -> None:
    require_each([], TEXT, "labels")
    with pytest.raises(TypeError, match="labels hold 2, not a text"):
        require_each(["a", 2, None], TEXT, "labels")


def test_ids_of_tokens_are_whole_numbers_from_0_on() -> None:
    assert token_ids([0, 151_000], "ids") == (0, 151_000)
    for wrong in ([-1], [2**40], [1.0], ["1"], [None], [[1]], "a"):
        with pytest.raises(TypeError, match="ids are no list of whole numbers from 0 on"):
            token_ids(wrong, "ids")

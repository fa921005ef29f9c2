"""Values of JSON with one of their places changed: what another program, or a hand, might have written."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

FOREIGN: tuple[Any, ...] = (None, 5, -1, 1.5, 10**400, "x", [], {}, True, [[1]], float("inf"), float("nan"))
"""What may stand in a place: of each type, and numbers that few things can be."""


def mutants(value: Any) -> Iterator[Any]:
    """The value with each of `FOREIGN` in each of its places, the whole included; and without each key."""
    for place in _places(value):
        for foreign in FOREIGN:
            yield _changed(value, place, foreign)
        if place and isinstance(place[-1], str):
            yield _without(value, place)


def _places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Of a list, the first entry alone."""
    yield place
    inner = (
        value.items() if isinstance(value, dict) else enumerate(value[:1] if isinstance(value, list) else ())
    )
    for key, one in inner:
        yield from _places(one, (*place, key))


def _changed(value: Any, place: tuple[str | int, ...], foreign: Any) -> Any:
    if not place:
        return foreign
    copied = copy.deepcopy(value)
    _inside(copied, place[:-1])[place[-1]] = foreign
    return copied


def _without(value: Any, place: tuple[str | int, ...]) -> Any:
    copied = copy.deepcopy(value)
    del _inside(copied, place[:-1])[place[-1]]
    return copied


def _inside(value: Any, place: tuple[str | int, ...]) -> Any:
    for key in place:
        value = value[key]
    return value

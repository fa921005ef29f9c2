"""Types of what a row of JSON holds, where others may have written it: checked once, as it is read."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any, TypeAlias

Types: TypeAlias = frozenset[type]

TEXT: Types = frozenset({str})
TEXT_OR_NULL: Types = frozenset({str, NoneType})
WHOLE: Types = frozenset({int})
"""`true` is none: its type is `bool`. Of 64 bits, as tables have them."""
WHOLE_OR_NULL: Types = frozenset({int, NoneType})
NUMBER: Types = frozenset({int, float})
NUMBER_OR_NULL: Types = frozenset({int, float, NoneType})
FLAG: Types = frozenset({bool})
LIST: Types = frozenset({list, tuple})
OBJECT: Types = frozenset({dict})

_IN_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    NoneType: "null",
}
_BEYOND = 2**63
_SHOWN = 40
"""Characters of a value in a message."""


def require_types(
    values: Any, needed: Mapping[str, Types], may_have: Mapping[str, Types], what: str
) -> Mapping[str, Any]:
    """The object itself, whose values have these types, by key; further keys are left to the caller.

    Args:
        values: of JSON.
        needed: what it must have.
        may_have: what it may lack.
        what: it is, for the message, such as "a move".

    Raises:
        TypeError: it is no object, lacks a key, or has a value of another type.
    """
    if type(values) is not dict:
        raise TypeError(f"{what} is {_shown(values)}, not an object")
    for name, types in needed.items():
        if name not in values:
            raise TypeError(f"{what} has no {name}")
        _require_one(values[name], types, name, what)
    for name, types in may_have.items():
        if name in values:
            _require_one(values[name], types, name, what)
    return values


def _require_one(value: Any, types: Types, name: str, what: str) -> None:
    if (kind := type(value)) not in types:
        raise TypeError(f"{name} of {what} is {_shown(value)}, not {_in_words(types)}")
    if kind is int and not -_BEYOND <= value < _BEYOND:
        raise TypeError(f"{name} of {what} is {_shown(value)}, which is beyond 64 bits")


def require_each(values: Iterable[Any], types: Types, what: str) -> None:
    """
    Raises:
        TypeError: one of the values is of another type.
    """
    if not types.issuperset(map(type, values)):
        other = next(value for value in values if type(value) not in types)
        raise TypeError(f"{what} hold {_shown(other)}, not {_in_words(types)}")


def token_ids(values: Iterable[Any], what: str) -> tuple[int, ...]:
    """The values, which are ids of tokens.

    Raises:
        TypeError: one is no whole number, or one that no tokenizer has.
    """
    try:
        return tuple(array("I", values))  # in C: a tree holds thousands
    except (TypeError, OverflowError) as error:
        raise TypeError(f"{what} are no list of whole numbers from 0 on") from error


def _in_words(types: Types) -> str:
    return " or ".join(
        words
        for known, words in _IN_WORDS.items()
        if known in types and not (known is int and float in types)
    )


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str({None: "null", True: "true", False: "false"}[value])
    if isinstance(value, list | tuple | dict):
        return _IN_WORDS[dict if isinstance(value, dict) else list]  # it may be deep
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

"""Objects that a Python program has made, as a config would name them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import flowdpo_pl
from flowdpo_pl.data.given_rows import GivenRows
from flowdpo_pl.made_with import MadeWith

_PLAIN = (bool, int, float, str, type(None))
_OWN_PACKAGE = "callbacks"


class UnnamedError(Exception):
    """An object whose arguments nobody knows; says which."""


def as_config(value: Any) -> Any:
    """The value as plain data: what is made from arguments as its class with these.

    A dataclass that extends nothing stands for its fields alone, since a config gives no other class there.

    Raises:
        UnnamedError: it holds an object whose arguments are not known.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Path | GivenRows):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): as_config(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_config(inner) for inner in value]
    arguments = as_config(_arguments(value))
    if is_dataclass(value) and type(value).__bases__ == (object,):
        return arguments
    return {"class_path": path_of(type(value)), "init_args": arguments}


def path_of(kind: type) -> str:
    """The path by which a config names a class: the shortest."""
    if kind.__name__ in flowdpo_pl.__all__ and getattr(flowdpo_pl, kind.__name__) is kind:
        return f"flowdpo_pl.{kind.__name__}"
    package = kind.__module__.partition(".")[0]
    home = _OWN_PACKAGE if package == _OWN_PACKAGE else kind.__module__
    return f"{home}.{kind.__qualname__}"


def _arguments(value: Any) -> dict[str, Any]:
    """What an object was made with, by name."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value) if field.init}
    if isinstance(value, MadeWith):
        return value.made_with
    names = [name for name in inspect.signature(type(value)).parameters]
    if set(names) <= vars(value).keys():  # which many a class without such a base keeps
        return {name: vars(value)[name] for name in names}
    raise UnnamedError(f"{type(value).__name__}: make it a dataclass, or let it extend flowdpo_pl.MadeWith")

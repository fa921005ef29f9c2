"""An object that knows the arguments it was made with, so that a run's config can name it."""

from __future__ import annotations

import inspect
from typing import Any, Self

_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class MadeWith:
    """A base of classes that a config names and that are no dataclasses."""

    made_with: dict[str, Any]
    """The arguments by name, defaults included; nothing of a copy that was made without `__init__`."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        object.__setattr__(made, "made_with", _bound(cls, made, args, kwargs))  # before nn.Module has begun
        return made


def _bound(cls: type, made: object, args: Any, kwargs: Any) -> dict[str, Any]:
    """Empty where the arguments don't fit, which `__init__` will say."""
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    try:
        bound = signature.bind(made, *args, **kwargs)
    except TypeError:
        return {}
    bound.apply_defaults()
    parameters = list(signature.parameters.values())[1:]
    return {one.name: bound.arguments[one.name] for one in parameters if one.kind not in _ANY_NUMBER}

"""Settings are built once when they are parsed, so that one out of its range is named by its whole key."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from flowdpo_pl.command_line.definitions import Definition
from flowdpo_pl.command_line.given import flattened
from flowdpo_pl.command_line.places import OWN_PACKAGES, Place, root_of
from flowdpo_pl.command_line.verbs import VERBS
from flowdpo_pl.errors import UserError

_LEFT = object()
"""What stands for a value that is not built here."""
_NOT_SETTINGS = "modules"
"""The room of what Lightning runs."""


def require_settings(verb: str, config: Mapping[str, Any]) -> None:
    """Build every class of ours below module, data, trainer or a verb of its own: each refuses its values.

    A class of the user's is left alone, and so is what has one inside.

    Args:
        verb: whose config it is.
        config: as the parser gives it, nothing built, defaults filled in.

    Raises:
        UserError: names the whole key.
    """
    given = flattened(config)
    root = root_of(VERBS[verb], given)
    above = [root.fixed[key] for key in ("model", "data", "trainer")] if VERBS[verb].takes_a_run else [root]
    for place in above:
        for child in place.children().values():
            _built(child)


def _built(place: Place) -> Any:
    """The value at a place with its classes built, or `_LEFT`."""
    value = place.given
    if isinstance(value, list):
        return [_built(place.item(number, inner)) for number, inner in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    owner = place.owner
    if owner is None and place.kind.values is None:
        return value
    parts = {name: _built(child) for name, child in place.children().items() if name in value}
    if any(part is _LEFT or (isinstance(part, list) and _LEFT in part) for part in parts.values()):
        return _LEFT
    return parts if owner is None else _made(place.key, owner, parts)


def _made(key: str, owner: Definition, parts: Mapping[str, Any]) -> Any:
    package, _, room = owner.home.partition(".")
    if package not in OWN_PACKAGES or room.startswith(_NOT_SETTINGS):
        return _LEFT
    try:
        return getattr(import_module(owner.home), owner.name)(**parts)
    except UserError as error:
        raise UserError(_placed(key, str(error), parts)) from error


def _placed(key: str, told: str, parts: Mapping[str, Any]) -> str:
    """The sentence with the key that leads to what it is about."""
    first = told.split()[0]
    if first in parts:
        return f"{key}.{told}"
    return told if key.split(".")[0] + "." in told else f"{key}: {told}"

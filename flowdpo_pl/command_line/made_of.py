"""What a run's config says at one place, made as the command line would make it: names and types checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from flowdpo_pl.errors import UserError

Made = TypeVar("Made")


def made_of(kind: type[Made], values: Any, where: str) -> Made:
    """One of our dataclasses from a config that others may have written.

    Args:
        kind: the dataclass; only what it holds is made, nothing is imported by name.
        values: its settings.
        where: they stand, for the message: `the base of runs/mine`.

    Raises:
        UserError: a setting has another name, type or range, or one is missing; names it.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    if not isinstance(values, Mapping):
        raise UserError(f"{where} has no settings: mend the run's config.")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind)
    try:
        settings = parser.parse_object(dict(values))
        return kind(**settings.as_dict())
    except (ArgumentError, UserError, TypeError, ValueError) as error:
        raise UserError(f"{where} can't be used ({_in_short(error)}): mend the run's config.") from error


def _in_short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]).rstrip(".:") or type(error).__name__

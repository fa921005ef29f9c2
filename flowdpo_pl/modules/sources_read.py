"""Which sources of problems a verb of the trainer reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.data.rows import names_a_file
from flowdpo_pl.errors import UserError

OWN_SOURCE = {"fit": "train", "validate": "validation", "test": "test", "predict": "predict"}
"""What each verb plays."""
NEVER_TESTED = ("train", "predict")
"""Sources that may hold no question of `test`."""


def sources_read(verb: str, given: Mapping[str, Any], validates: bool) -> tuple[str, ...]:
    """The sources that a verb opens: its own, and those that have to be kept apart from it.

    Args:
        verb: of the trainer.
        given: the sources by name, None where there is none; those with a `path` that names a file are local.
        validates: whether a `fit` will validate.

    Raises:
        UserError: the verb's own source is not given.
    """
    own = OWN_SOURCE[verb]
    if given[own] is None:
        raise UserError(f"{verb} needs data.{own}: set data.{own}.path to a hub id or a file")
    if verb == "test":
        local = [name for name in NEVER_TESTED if given[name] is not None and _is_local(given[name])]
        return (own, *local)
    validation = ("validation",) if verb == "fit" and validates else ()
    return (own, *validation, *(("test",) if own in NEVER_TESTED else ()))


def _is_local(source: Any) -> bool:
    """Of a source, or of what a config says of it."""
    return source.is_local if isinstance(source, ProblemSource) else names_a_file(source["path"])

"""What is said of a run's base, in the words of a verb that takes another one by `--base`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flowdpo_pl.errors import UserError

_KEY = "model.team.base.path"


@contextmanager
def naming_base() -> Iterator[None]:
    """A complaint about the key of a config becomes one about the argument that these verbs have."""
    try:
        yield
    except UserError as error:
        if _KEY not in str(error):
            raise
        raise UserError(str(error).replace(_KEY, "--base")) from error

"""A run of several processes of which one has ended: the others say so in a sentence."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from flowdpo_pl.distributed import ranks
from flowdpo_pl.errors import UserError

_MESSAGES = "torch.distributed"
"""Where processes wait for one another."""


@contextmanager
def lost_ranks_told() -> Iterator[None]:
    """Say in a sentence that a message between processes failed inside.

    Raises:
        UserError: it did; the run was saved before, as far as it could be.
    """
    try:
        yield
    except RuntimeError as error:
        if ranks() == 1 or not _is_of_a_message(error):
            raise
        why = (str(error).splitlines() or [repr(error)])[0].rpartition("] ")[2].rstrip(".")
        raise UserError(
            f"another process of this run has ended or can't be reached, so this one ends too ({why}): "
            "its own messages say why; the same command with --ckpt_path=auto goes on."
        ) from error


def _is_of_a_message(error: RuntimeError) -> bool:
    """Whether it was raised where processes wait for one another, rather than by what they do."""
    modules = [
        str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    return modules[-1].startswith(_MESSAGES)

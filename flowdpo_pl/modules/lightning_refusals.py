"""What Lightning refuses of a command is one sentence too, and only that: a bug stays a traceback."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from flowdpo_pl.errors import UserError

_OURS = ("flowdpo_pl", "callbacks")
_COMMAND_LINE = ("flowdpo_pl.__main__", "flowdpo_pl.cli", __name__)
"""Modules of ours that every command goes through."""


@contextmanager
def lightning_refusals() -> Iterator[None]:
    """Say in a sentence what Lightning refuses inside.

    Raises:
        UserError: a `raise` of Lightning's own was met, with no code of this project in between.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not _is_refusal(error):
            raise
        told = " ".join(str(error).split()).rstrip(".") or repr(error)
        raise UserError(
            f"Lightning refuses this: {told}; docs/trainer.md says what each argument of the trainer takes."
        ) from error


def _is_refusal(error: Exception) -> bool:
    """Whether Lightning raised it in words of its own, rather than met it in a call that went wrong."""
    frames = list(traceback.walk_tb(error.__traceback__))
    modules = [_module(frame) for frame, _ in frames]
    if any(_within(module, _OURS) and module not in _COMMAND_LINE for module in modules):
        return False
    frame, line = frames[-1]
    statement = linecache.getline(frame.f_code.co_filename, line)
    return _within(modules[-1], ("lightning",)) and statement.lstrip().startswith("raise ")


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return module.partition(".")[0] in packages

"""A text file that somebody else may have written: read as what it should be, or refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError


def read_as(kind: str, value_of: Callable[[str], Any], file: Path, what: str) -> Any:
    """The value that the file holds.

    Args:
        kind: of text, such as "JSON".
        value_of: makes the value of such a text, or raises ValueError.
        file: where it is said to lie.
        what: what it should be, for the message, such as "the summary of a run".

    Raises:
        UserError: it is no plain file, can't be opened, or holds no such text in UTF-8.
    """
    try:
        if not file.is_file():  # a pipe would be waited for, for ever
            raise UserError(f"{file} is no file: give one that holds {what}.")
        return value_of(file.read_text(encoding="utf-8"))
    except UserError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
    except ValueError as error:
        why = f"no {kind} in UTF-8: {error}"
    raise UserError(f"{file} can't be read as {what} ({why}): have it written again, or give another one.")

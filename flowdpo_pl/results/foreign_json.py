"""JSON of a file that somebody else may have written: read, or refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowdpo_pl.results.foreign_file import read_as


def read_json(file: Path, what: str) -> Any:
    """The value that the file holds, whatever that is.

    Args:
        file: where it is said to lie.
        what: what it should be, for the message, such as "the summary of a run".

    Raises:
        UserError: it is no plain file, can't be opened, or holds no JSON in UTF-8, or JSON too deep to read.
    """
    return read_as("JSON", _value_of, file, what)


def _value_of(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("brackets nested too deep") from error

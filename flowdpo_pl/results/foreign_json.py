"""JSON of a file that somebody else may have written: read, or refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError


def read_json(file: Path, what: str) -> Any:
    """The value that the file holds, whatever that is.

    Args:
        file: where it is said to lie.
        what: what it should be, for the message, such as "the summary of a run".

    Raises:
        UserError: it is no plain file, can't be opened, or holds no JSON in UTF-8, or JSON too deep to read.
    """
    try:
        if not file.is_file():  # a pipe would be waited for, for ever
            raise UserError(f"{file} is no file: give one that holds {what}.")
        return json.loads(file.read_text(encoding="utf-8"))
    except UserError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
    except RecursionError:
        why = "brackets nested too deep"
    except ValueError as error:
        why = f"no JSON in UTF-8: {error}"
    raise UserError(f"{file} can't be read as {what} ({why}): have it written again, or give another one.")

"""What `stage.json` says of a study's stage: of which command it is, whether it is done, how long it took."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.results.foreign_json import read_json
from flowdpo_pl.results.typed_values import FLAG, LIST, NUMBER, TEXT, require_types

STAGE_JSON = "stage.json"
_TYPES = {"fingerprint": TEXT, "done": FLAG, "seconds": NUMBER, "command": LIST}
_LONGEST = 10**10
"""Seconds: some three hundred years."""


@dataclass(frozen=True)
class StageMark:
    """What is known of a stage that has begun."""

    fingerprint: str = ""
    """Of all that it depends on."""
    done: bool = False
    seconds: float = 0.0
    """Of all its runs."""
    command: Sequence[str] = ()


def read_stage_mark(folder: Path) -> StageMark | None:
    """That of the stage in this folder; None: it has not begun.

    Raises:
        UserError: it can't be read, or is of another form.
    """
    file = folder / STAGE_JSON
    if not file.exists():
        return None
    try:
        found = require_types(read_json(file, "the mark of a stage"), {}, _TYPES, "it")
        mark = StageMark(**{name: value for name, value in found.items() if name in _TYPES})
        known = 0 <= mark.seconds <= _LONGEST
    except (UserError, TypeError):
        known = False
    if not known:
        raise UserError(
            f"{file} can't be read as the mark of a stage: remove {folder}, and the stage is run again."
        )
    return mark


def write_stage_mark(folder: Path, mark: StageMark) -> None:
    """
    Raises:
        UserError: it can't be written.
    """
    with whole_file(folder / STAGE_JSON) as partial:
        partial.write_text(json.dumps(asdict(mark), indent=2) + "\n", encoding="utf-8")

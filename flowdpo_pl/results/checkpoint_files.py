"""Which of a run's checkpoints are whole, and which of them is the newest."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

PREVIOUS = "previous.ckpt"
"""Of a run that keeps no numbered checkpoints: what `last.ckpt` was before."""


def is_whole(checkpoint: Path) -> bool:
    """Whether the file is there with all its bytes: it is an archive with sums of its parts."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError):
        return False


def newest_whole(checkpoints: Path) -> Path | None:
    """The newest whole checkpoint in a folder: `last.ckpt`, if nothing has spoilt it; None: there is none."""
    by_number = sorted(checkpoints.glob("problems_*.ckpt"), key=lambda path: (len(path.name), path.name))
    numbered = reversed(by_number)
    candidates = (checkpoints / "last.ckpt", *numbered, checkpoints / PREVIOUS)
    return next((path for path in candidates if is_whole(path)), None)

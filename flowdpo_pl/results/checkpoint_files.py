"""Which of a run's checkpoints are whole, which of them is the newest, and what one holds."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError

PREVIOUS = "previous.ckpt"
"""Of a run that keeps no numbered checkpoints: what `last.ckpt` was before."""


def is_whole(checkpoint: Path) -> bool:
    """Whether the file is there with all its bytes: it is an archive with sums of its parts."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except Exception:  # of any kind, by what spoilt bytes say: a password, a way of packing that nobody knows
        return False


def newest_whole(checkpoints: Path) -> Path | None:
    """The newest whole checkpoint in a folder: `last.ckpt`, if nothing has spoilt it; None: there is none."""
    by_number = sorted(checkpoints.glob("problems_*.ckpt"), key=lambda path: (len(path.name), path.name))
    numbered = reversed(by_number)
    candidates = (checkpoints / "last.ckpt", *numbered, checkpoints / PREVIOUS)
    return next((path for path in candidates if is_whole(path)), None)


def held_by(checkpoint: Path, mmap: bool = True) -> dict[str, Any]:
    """What a checkpoint holds: numbers, texts and tensors alone. Others could run code while being read.

    Args:
        checkpoint: a whole one.
        mmap: leave tensors in the file until they are used.

    Raises:
        UserError: it holds more, or is an archive of another kind.
    """
    import torch

    try:
        held = torch.load(checkpoint, weights_only=True, map_location="cpu", mmap=mmap)
    except MemoryError:
        raise
    except Exception as error:  # torch reads a pickle by hand, and stumbles over a foreign one in many ways
        raise UserError(
            f"{checkpoint} is spoilt, or holds other things than numbers, texts and tensors, which could run "
            "code and are not loaded: give a checkpoint that a run here has written."
        ) from error
    if not isinstance(held, dict):
        raise UserError(f"{checkpoint} is no checkpoint of a run: give one that a run here has written.")
    return held

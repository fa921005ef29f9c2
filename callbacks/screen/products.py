"""What a verb says last: the files that one looks at next, and the command that follows."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

PROGRAM = "python -m flowdpo_pl"
_TO_LOOK_AT = ("trees.jsonl", "predictions.jsonl")
"""What `view` makes a page of."""


def print_products(folder: Path, names: Iterable[str], following: str | None = None) -> None:
    """Prints the paths of those that exist, a line each, then the commands; whole lines, however long.

    Args:
        folder: The run folder.
        names: Files and folders in it.
        following: Words of the command after `python -m flowdpo_pl`, as a shell takes them.
    """
    for name in names:
        if (folder / name).exists():
            print(folder / name)
    if any((folder / name).exists() for name in _TO_LOOK_AT):
        print(f"look: {PROGRAM} view {quoted(folder)}", flush=True)
    if following:
        print(f"next: {PROGRAM} {following}", flush=True)


def quoted(path: Path | str) -> str:
    """A path as a word of a command line."""
    return shlex.quote(str(path))

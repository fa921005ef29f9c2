"""Files and folders that are whole or absent, also when the process is killed while writing them.

Everything is written under a name that ends in `.partial`, flushed to disk, then renamed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def partial_of(target: Path) -> Path:
    """The name under which `target` is written."""
    return target.with_name(f".{target.name}.partial")


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yields the name to write to; afterwards `target` is the new file, or unchanged if the block raised."""
    partial = partial_of(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        publish_file(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yields the name of a folder to make; afterwards it is `target`, which may have been another before.

    An old folder is moved away first, so for a moment there is none: never half of one.
    """
    partial, old = partial_of(target), target.with_name(f".{target.name}.old.partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                _flush(file)
        if target.exists():
            os.replace(target, old)
        os.replace(partial, target)
        _flush(target.parent)
    finally:
        for leftover in (partial, old):
            shutil.rmtree(leftover, ignore_errors=True)


def publish_file(partial: Path, target: Path) -> None:
    """Makes a file that is completely written appear under its name."""
    _flush(partial)
    os.replace(partial, target)
    _flush(target.parent)


def remove_partials(folder: Path) -> None:
    """Removes what a killed process left behind in this folder."""
    for leftover in folder.glob(".*.partial"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Files and folders that are whole or absent, also when the process is killed while writing them.

Everything is written under a name that ends in `.partial`, flushed to disk, then renamed. Logs grow by whole
lines, which are on disk before anything that is written later.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flowdpo_pl.errors import UserError

MEND = "make room or give access, then go on as after an interruption; what was written before is whole"

_OF_RUST = re.compile(r"\(os error (\d+)\)")
"""How safetensors and tokenizers say what the system said, in exceptions of their own."""


def partial_of(target: Path) -> Path:
    """The name under which `target` is written."""
    return target.with_name(f".{target.name}.partial")


@contextmanager
def written(target: Path, mend: str = MEND) -> Iterator[None]:
    """Names the file or folder that the block writes, where it can't, and what to do then.

    Raises:
        UserError: no space, no permission, or whatever else the system says.
    """
    try:
        yield
    except OSError as error:
        if _is_another(error, target):
            raise
        raise _unwritten(target, error.strerror or str(error), mend) from error
    except Exception as error:
        if isinstance(error, UserError) or (number := _OF_RUST.search(str(error))) is None:
            raise
        raise _unwritten(target, os.strerror(int(number[1])), mend) from error


def _unwritten(target: Path, reason: str, mend: str) -> UserError:
    return UserError(f"{target} can't be written ({reason}): {mend}.")


def _is_another(error: OSError, target: Path) -> bool:
    """Whether it is about a file that is read, not written."""
    if not isinstance(error.filename, str | os.PathLike) or error.filename2 is not None:
        return False
    named = Path(error.filename)
    written = (target, partial_of(target), target.with_name(f".{target.name}.old.partial"))
    return not any(named.is_relative_to(place) for place in written) and not target.is_relative_to(named)


@contextmanager
def whole_file(target: Path, mend: str = MEND) -> Iterator[Path]:
    """Yields the name to write to; afterwards `target` is the new file, or unchanged if the block raised.

    Raises:
        UserError: it can't be written.
    """
    if target.is_dir():
        raise _unwritten(target, os.strerror(errno.EISDIR), mend)
    partial = partial_of(target)
    with written(target, mend):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            publish_file(partial, target)
        finally:
            with suppress(OSError):  # what prevented the writing was said already
                partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yields the name of a folder to make; afterwards it is `target`, which may have been another before.

    An old folder is moved away first, so for a moment there is none: never half of one.

    Raises:
        UserError: it can't be written, or see `require_replaceable`.
    """
    require_replaceable(target)
    partial, old = partial_of(target), target.with_name(f".{target.name}.old.partial")
    with written(target):
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


def require_replaceable(folder: Path) -> None:
    """Refuse what would take the ground from under this process, and from the shell that it was started in.

    Raises:
        UserError: the folder is the working directory, or holds it.
    """
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UserError(
            f"{folder} is the folder that this command runs in, or holds it, and would be replaced: name a "
            f"new one, such as {Path.cwd() / 'new'}."
        )


def publish_file(partial: Path, target: Path) -> None:
    """Makes a file that is completely written appear under its name."""
    _flush(partial)
    os.replace(partial, target)
    _flush(target.parent)


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Adds whole lines (without their line breaks) in one write, to a file that may be new.

    They are on disk afterwards: a checkpoint that is written later never knows more than the log.

    Raises:
        UserError: the file can't be written.
    """
    text = "".join(f"{line}\n" for line in lines)
    with written(path):
        new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(text)
        _flush(path)
        if new:
            _flush(path.parent)


def copied(folder: Path, to: Path) -> None:
    """Copies the files of a folder to a new one; neither times nor rights go along."""
    to.mkdir()
    for path in sorted(folder.rglob("*")):
        copy = to / path.relative_to(folder)
        if path.is_dir():
            copy.mkdir()
        else:
            shutil.copyfile(path, copy)


def remove(target: Path) -> None:
    """Remove a file or folder; one that is not there is none.

    Raises:
        UserError: it can't be removed.
    """
    try:
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{target} can't be removed ({error.strerror or error}): {MEND}.") from error


def remove_partials(folder: Path) -> None:
    """Removes what a killed process left behind in this folder.

    Raises:
        UserError: something can't be removed.
    """
    for leftover in folder.glob(".*.partial"):
        remove(leftover)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

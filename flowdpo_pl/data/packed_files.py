"""Text files as they lie on disk: packed by gzip or not, with a byte order mark or without."""

from __future__ import annotations

import codecs
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from flowdpo_pl.errors import UserError

_IN_MEMORY_BYTES = 64 * 2**20  # a decompressed file above this goes to a temporary file
_GZIP = b"\x1f\x8b"


def opened(path: Path) -> IO[bytes]:
    """The content of a file, where one can seek; unpacked if gzip packed it, whatever the file is called.

    Raises:
        UserError: the file can't be read, is no whole gzip file although its name says so, or there is no
            room to unpack it.
    """
    try:
        file = path.open("rb")
    except PermissionError as error:
        raise UserError(f"{path} may not be read by this user: change its permissions") from error
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror or error}): give a file") from error
    if path.suffix.lower() != ".gz" and file.peek(2)[:2] != _GZIP:
        return file
    plain = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 (its owner closes it)
    try:
        with file, gzip.open(file) as packed:
            shutil.copyfileobj(packed, plain)
        plain.seek(0)  # what is still to be written is written here
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is no whole gzip file ({error}): fetch or pack it again") from error
    except OSError as error:
        _close(plain)
        raise UserError(
            f"{path} can't be unpacked ({error.strerror or error}): make room in {_temporary_folder()}, name "
            "another one by TMPDIR, or unpack it yourself"
        ) from error
    return plain


def _close(file: IO[bytes]) -> None:
    """Give back what it takes on the disk; what can't be written any more is not."""
    with suppress(OSError):
        file.close()


def _temporary_folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:  # there is none that can be written
        return "the temporary folder"


def without_mark(content: bytes) -> bytes:
    """The content without UTF-8's byte order mark, which is no text."""
    return content.removeprefix(codecs.BOM_UTF8)


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, from 1; each with its line break, if it has one.

    Raises:
        UserError: see `opened`; or a line is not UTF-8.
    """
    with opened(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                yield number, (without_mark(line) if number == 1 else line).decode()
            except UnicodeDecodeError as error:
                raise UserError(f"{path}, line {number} is not UTF-8 ({error}): save it as UTF-8") from error

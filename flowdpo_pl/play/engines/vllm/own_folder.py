"""A folder that goes with its process; what one that was killed has left, the next one removes."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LOCK = "lock"


@contextmanager
def own_folder(kind: str, where: Path | None = None) -> Iterator[Path]:
    """A new folder, gone after the block; what killed processes have left is removed before it.

    Args:
        kind: the beginning of its name.
        where: the folder that it lies in; None: that of temporary files.

    Raises:
        OSError: nothing can be written there.
    """
    place = Path(where if where is not None else tempfile.gettempdir()).absolute()
    prefix = f"flowdpo-{kind}-{socket.gethostname()}-"  # another machine's locks may not be seen here
    _remove_left(place, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    lock = os.open(folder / "new", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "new").rename(folder / _LOCK)  # it is never seen unlocked
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_left(place: Path, prefix: str) -> None:
    """Folders whose lock nobody holds; one that is just being made has none yet."""
    for folder in place.glob(f"{prefix}*"):
        with suppress(OSError):  # held, without a lock, or somebody else's
            lock = os.open(folder / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)

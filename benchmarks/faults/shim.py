"""The library that counts and breaks what a process does to its files (`shim.c`)."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
COMPILERS = ("cc", "gcc", "clang")


class Fault(IntEnum):
    """What happens at an operation; the numbers are the library's."""

    NONE = 0
    KILL_BEFORE = 1
    KILL_AFTER = 2
    TEAR = 3
    """Half of a write is done, then the process is killed."""
    POWER_CUT = 4
    """As KILL_AFTER, and all bytes are lost that no fsync has reached."""
    NO_SPACE = 5
    """From here on nothing can be opened to be made, written or flushed."""
    NO_PERMISSION = 6
    """From here on nothing can be opened, made, renamed or removed."""
    CLOCK = 7
    """From here on the clock jumps by a day, back and forth."""


WRITES = ("write", "pwrite", "writev", "sendfile", "copy_file_range")
_NEED_SPACE = (*WRITES, "open", "fopen", "mkdir", "fsync", "fdatasync")
_NEED_NO_PERMISSION = (*WRITES, "fsync", "fdatasync", "ftruncate")


@dataclass(frozen=True)
class Operation:
    """One thing that was done to a file."""

    number: int
    call: str
    made: int
    """0: it failed (a folder was there already), 1: it left the files as they were, 2: it changed them."""
    path: str

    def takes(self, fault: Fault) -> bool:
        """Whether this fault can happen here and is another one than at the operation before."""
        if fault == Fault.CLOCK:
            return self.number == 1
        if fault == Fault.NONE or not self.made:
            return False
        if fault == Fault.NO_SPACE:
            return self.call in _NEED_SPACE
        if fault == Fault.NO_PERMISSION:
            return self.call not in _NEED_NO_PERMISSION
        if fault == Fault.TEAR and self.call not in WRITES:
            return False
        return self.made == 2 or self.number == 1


def compiler() -> str | None:
    """A C compiler of this machine, if it is a Linux machine that has one."""
    return next(filter(None, map(shutil.which, COMPILERS)), None) if sys.platform == "linux" else None


def with_shim(folder: Path) -> dict[str, str]:
    """The environment of a process that is to have the library, which is compiled into `folder`."""
    library = folder / "shim.so"
    command = [str(compiler()), "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}


def arm(folder: Path, log: Path, fault: Fault = Fault.NONE, at: int = 0) -> None:
    """From now on count what this process does below `folder`, and break operation `at`."""
    ctypes.CDLL(None).faults_arm(str(folder).encode(), str(log).encode(), int(fault), ctypes.c_long(at))


def operations(log: Path) -> list[Operation]:
    """What was counted."""
    rows = (line.split("\t", 3) for line in log.read_text(errors="replace").splitlines())
    return [Operation(int(number), call, int(made), path) for number, call, made, path in rows]

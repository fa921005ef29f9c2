"""Does memory grow with the work? Samples of processes' resident memory, and the line through them."""

from __future__ import annotations

import os
from pathlib import Path


def resident_bytes_of(pid: int) -> int | None:
    """Resident memory of a process; None where it is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def children(word: str) -> list[int]:
    """This process's child processes whose command has this word."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            command = (entry / "cmdline").read_text()
        except OSError:  # gone meanwhile
            continue
        if int(parent) == os.getpid() and word in command:
            found.append(int(entry.name))
    return found


class MemorySlope:
    """Resident memory against a count of what was done."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, int]] = []

    def add(self, done: float, resident: int | None) -> None:
        if resident is not None:
            self._samples.append((done, resident))

    def told(self) -> dict[str, float]:
        """In MB: at the middle and at the end, and how much more by a thousand things done.

        The first half is warm-up; the slope is that of the least squares over the second.
        """
        late = self._samples[len(self._samples) // 2 :]
        if len(late) < 3:
            return {}
        mean_x, mean_y = (sum(pair[axis] for pair in late) / len(late) for axis in (0, 1))
        spread = sum((x - mean_x) ** 2 for x, _ in late)
        slope = sum((x - mean_x) * (y - mean_y) for x, y in late) / spread
        return {
            "middle_mb": round(late[0][1] / 1e6, 1),
            "end_mb": round(late[-1][1] / 1e6, 1),
            "mb_per_thousand": round(slope * 1000 / 1e6, 3),
        }

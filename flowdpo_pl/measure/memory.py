"""How much memory a run has taken."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import torch


def peak_memory_bytes(device: torch.device) -> float:
    """Most memory in use so far: of the GPU if there is one, else of the process."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def resident_bytes() -> float:
    """Memory of this process now, mapped files included; the most so far where that can't be asked."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return peak_memory_bytes(torch.device("cpu"))
    return float(int(pages) * os.sysconf("SC_PAGE_SIZE"))

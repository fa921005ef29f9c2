"""The device of these tests: a GPU; without one they are skipped.

`FLOWDPO_GPU_TESTS_DEVICE=cpu` runs them on a CPU, which shows that they are right, and nothing of a GPU.
"""

from __future__ import annotations

import os

import pytest
import torch

NAME = os.environ.get("FLOWDPO_GPU_TESTS_DEVICE", "cuda:0")


@pytest.fixture(scope="session", autouse=True)
def device() -> torch.device:
    chosen = torch.device(NAME)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    return chosen


@pytest.fixture(scope="session")
def accelerator(device: torch.device) -> str:
    """Of a trainer."""
    return "gpu" if device.type == "cuda" else "cpu"

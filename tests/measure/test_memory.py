"""The peak of this process, or of its GPU, in bytes."""

from __future__ import annotations

import os

import pytest
import torch

from flowdpo_pl.measure.memory import peak_memory_bytes

CPU = torch.device("cpu")


def test_the_peak_is_in_bytes_and_remembers_what_has_been_freed() -> None:
    held = b"x" * 2**26
    most = peak_memory_bytes(CPU)
    assert len(held) < most < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    del held
    assert peak_memory_bytes(CPU) >= most


def test_on_a_gpu_the_peak_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 1000 + device.index)
    assert peak_memory_bytes(torch.device("cuda", 3)) == 1003.0

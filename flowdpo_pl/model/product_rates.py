"""How fast this machine multiplies in each dtype: on many processors bf16 is slower than float32."""

from __future__ import annotations

import time
from functools import cache

import torch

_ROWS, _WIDTH = 256, 1024
_SECONDS = 0.04
_LOSES = 1.2
"""Rates nearer than this are one: they vary as much between two looks."""


@cache
def product_rate(dtype: str) -> float:
    """FLOPs a second of `[256, 1024] x [1024, 1024]` on the CPU, the best of what 0.04 s hold (after one)."""
    kind = getattr(torch, dtype)
    left = torch.ones(_ROWS, _WIDTH, dtype=kind)
    right = torch.ones(_WIDTH, _WIDTH, dtype=kind)
    with torch.inference_mode():
        torch.nn.functional.linear(left, right)
        best, end = float("inf"), time.perf_counter() + _SECONDS
        while (started := time.perf_counter()) < end:
            torch.nn.functional.linear(left, right)
            best = min(best, time.perf_counter() - started)
    return 2.0 * _ROWS * _WIDTH * _WIDTH / best


@cache
def memory_rate() -> float:
    """Bytes a second that the CPU reads, of 64 MiB."""
    numbers = torch.ones(16 * 2**20)
    started = time.perf_counter()
    numbers.sum()
    return 4.0 * numbers.numel() / (time.perf_counter() - started)


def slower_dtype(dtype: str) -> str | None:
    """A sentence if products in `dtype` are slower on this CPU than in float32; None if they are not."""
    if dtype == "float32":
        return None
    own, plain = product_rate(dtype), product_rate("float32")
    if own * _LOSES >= plain:
        return None
    return (
        f"this processor multiplies {dtype} at {own / 1e9:.0f} GFLOP/s and float32 at {plain / 1e9:.0f}: "
        "model.team.base.dtype=float32 is faster here, for twice the memory of the weights."
    )

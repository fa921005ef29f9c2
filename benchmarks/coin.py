"""A verifier that tosses a coin for each text: half of all endings are right, so nothing is left idle."""

from __future__ import annotations

from zlib import crc32


def coin(prediction: str, gold: str) -> bool:
    """A function of both texts and of nothing else."""
    return crc32(f"{prediction}\n{gold}".encode()) % 2 == 0

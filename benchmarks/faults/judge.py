"""A verifier that hangs at some answers and wants too much memory at others, whenever they are asked."""

from __future__ import annotations

import time
from zlib import crc32


def stumbling(prediction: str, gold: str) -> bool:
    """Of 64 texts one hangs and one takes memory until there is none; a coin is tossed for the others."""
    number = crc32(f"{prediction}\n{gold}".encode())
    if number % 64 == 0:
        time.sleep(3600)
    taken = []
    while number % 64 == 1:
        taken.append(bytearray(2**26))
    return number // 64 % 2 == 0

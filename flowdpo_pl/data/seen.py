"""What has come by before, in few bytes: a stream of a million problems is remembered in some 50 MB."""

from __future__ import annotations

import hashlib
from array import array

_FIRST = 1024
"""Places at the beginning; a power of two."""


class Seen:
    """A table of digests, 8 bytes of a text and 8 of what belongs to it.

    Two of a million texts are taken for one with a chance of 3 in 100 million.
    """

    def __init__(self) -> None:
        self._count = 0
        self._keys, self._values = array("Q", bytes(8 * _FIRST)), array("Q", bytes(8 * _FIRST))

    def __len__(self) -> int:
        return self._count

    def told(self, text: str, value: str = "") -> bool | None:
        """Whether `text` was added with this value: False with another one, None not at all."""
        place = self._place(_digest(text))
        return self._values[place] == _digest(value) if self._keys[place] else None

    def add(self, text: str, value: str = "") -> None:
        """Remember it; what was added before keeps its value."""
        key = _digest(text)
        place = self._place(key)
        if self._keys[place]:
            return
        self._keys[place], self._values[place] = key, _digest(value)
        self._count += 1
        if 3 * self._count > 2 * len(self._keys):
            self._grow()

    def _place(self, key: int) -> int:
        """Of the key, or where it would stand."""
        last = len(self._keys) - 1
        place = key & last
        while self._keys[place] not in (0, key):
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        keys, values = self._keys, self._values
        self._keys, self._values = (array("Q", bytes(16 * len(keys))) for _ in range(2))
        for key, value in zip(keys, values, strict=True):
            if key:
                place = self._place(key)
                self._keys[place], self._values[place] = key, value


def _digest(text: str) -> int:
    """Never 0, which is an empty place."""
    content = text.encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) or 1

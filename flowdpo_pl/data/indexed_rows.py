"""What a reader gives: rows, a chunk at a time; and rows that can be read in any order."""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read, and where it stands (`file:line`, or `data set, row n`; from 1)."""

    where: str
    values: dict[str, object]


class Rows(ABC):
    """The rows of one data set."""

    total: int | None
    """Number of rows, None when that is not known without reading them all."""
    content: str | None = None
    """Digest of all rows as they are written, wherever they lie; None when they are known only once read."""

    @abstractmethod
    def chunks(self, size: int, seed: int | None) -> Iterator[list[Row]]:
        """All rows once, `size` at a time (the last chunk may be short).

        Args:
            size: rows in a chunk.
            seed: seed of the order; None keeps the source's order.
        """


class IndexedRows(Rows):
    """Rows that can be read in any order: shuffling permutes the whole file."""

    total: int
    content: str

    @abstractmethod
    def read(self, indices: Sequence[int]) -> list[Row]:
        """The rows at `indices` (from 0), in that order."""

    def chunks(self, size: int, seed: int | None) -> Iterator[list[Row]]:
        order = array("Q", range(self.total))
        if seed is not None:
            random.Random(seed).shuffle(order)
        for start in range(0, len(order), size):
            yield self.read(order[start : start + size])


def digest_of(content: bytes) -> str:
    """16 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


class Shards(IndexedRows):
    """Several files as one, in their order; each may have columns of its own."""

    def __init__(self, parts: Sequence[IndexedRows]) -> None:
        self._parts = parts
        self._ends = list(accumulate(part.total for part in parts))
        self.total = self._ends[-1] if parts else 0
        contents = [part.content for part in parts]
        self.content = contents[0] if len(contents) == 1 else digest_of(" ".join(contents).encode())

    def read(self, indices: Sequence[int]) -> list[Row]:
        rows: list[Row] = []
        for index in indices:
            number = bisect_right(self._ends, index)
            part = self._parts[number]
            rows += part.read([index - self._ends[number] + part.total])
        return rows

"""A loader of batches that are cut already: no length, no workers, nothing collated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from torch.utils.data import DataLoader, IterableDataset

from flowdpo_pl.types import Problem

Batch: TypeAlias = list[Problem]


class _Batches(IterableDataset[Batch]):
    """An iterable over batches that are already cut; each iteration asks anew."""

    def __init__(self, batches: Callable[[], Iterator[Batch]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return self._batches()


def batch_loader(batches: Callable[[], Iterator[Batch]]) -> DataLoader[Batch]:
    """Gives what `batches` gives, asked anew for each iteration."""
    # No worker processes: a read-ahead in another process could not be told what was consumed.
    return DataLoader(_Batches(batches), batch_size=None, num_workers=0, collate_fn=_unchanged)


def _unchanged(batch: Batch) -> Batch:
    return batch

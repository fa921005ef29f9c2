"""What ranks tell each other: sums, gathered lists, adapter gradients. Without ranks, nothing happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

T = TypeVar("T")


def ranks() -> int:
    distributed = torch.distributed
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    return torch.distributed.get_rank() if ranks() > 1 else 0


def summed(values: Sequence[float], device: torch.device) -> list[float]:
    """Each value summed over all ranks."""
    if ranks() == 1:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(total)
    return [float(value) for value in total.tolist()]


def gathered(values: list[T]) -> list[list[T]]:
    """Every rank's list of plain values, in rank order."""
    if ranks() == 1:
        return [values]
    everyone: list[list[T]] = [[] for _ in range(ranks())]
    torch.distributed.all_gather_object(everyone, values)
    return everyone


def of_first(make: Callable[[], T]) -> T:
    """What rank 0 makes, a plain value, on every rank."""
    if ranks() == 1:
        return make()
    made: list[T | None] = [make() if rank() == 0 else None]
    torch.distributed.broadcast_object_list(made, src=0)
    return cast(T, made[0])


def interleaved(ranks: Sequence[Sequence[T]]) -> list[T]:
    """Stream order of what R ranks hold, rank r holding every R-th from r on."""
    longest = max(map(len, ranks))
    return [values[index] for index in range(longest) for values in ranks if index < len(values)]


def whole_batch(share: Sequence[T]) -> tuple[T, ...]:
    """A batch in stream order, of which this rank holds every R-th from its own number on."""
    return tuple(interleaved(gathered(list(share))))


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up gradients over ranks in one message; a rank without any takes part with zeros."""
    if ranks() == 1:
        return
    parameters = list(parameters)
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
    torch.distributed.all_reduce(flat)
    for parameter, gradient in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = gradient.view_as(parameter)


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Rank 0's values everywhere, in place."""
    if ranks() > 1:
        for tensor in tensors:
            torch.distributed.broadcast(tensor.data, src=0)

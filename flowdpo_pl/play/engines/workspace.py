"""The preallocated keys and values of one micro-batch while it decodes.

Rows are right-aligned: every row's next token goes into the same column, so a step writes one
column and the mask of a row never changes. Products run over all allocated columns, those to come
included, because libraries copy what is not whole; so columns are allocated a few at a time. What a row
does not own is zero, is never seen, and costs nothing but its column.

Shapes: B rows, K key/value heads, C allocated columns, N new tokens, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from flowdpo_pl.model.attention import QueryBlock, additive
from flowdpo_pl.model.structure import CacheShape
from flowdpo_pl.play.engines.prefix_cache import States, Stored

_COLUMNS_AT_ONCE = 32
_ALL = slice(None)


class Workspace:
    """Implements `attention.View` for queries on cached rows."""

    def __init__(
        self,
        shapes: Sequence[CacheShape],
        lengths: list[int],
        room: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """
        Args:
            shapes: of the keys and values of each layer.
            lengths: tokens of each row once the first block is in.
            room: columns for what follows.
        """
        self.end = max(lengths)
        """Columns in use after the current forward."""
        self._last = self.end + room
        self._first = [self.end - length for length in lengths]
        self._starts = torch.tensor(self._first, device=device)
        """[B] first column of each row, beside the same numbers on the host."""
        rows, columns = len(lengths), self.end + min(room, _COLUMNS_AT_ONCE)

        def empty(heads: int, size: int) -> Tensor:
            return torch.zeros(rows, heads, columns, size, dtype=dtype, device=device)

        self._keys = [empty(shape.heads, shape.key_size) for shape in shapes]
        """[B, K, C, D] of each layer."""
        self._values = [empty(shape.heads, shape.value_size) for shape in shapes]
        self._new = self.end
        self._rows = _ALL
        self._seen = self._own_columns()
        """[B, 1, 1, C] 0 on a row's own columns up to `end`, -inf elsewhere."""
        self._blocks: dict[int | None, list[QueryBlock]] = {}

    @property
    def columns(self) -> int:
        """C"""
        return self._keys[0].shape[2]

    def load(self, index: int, stored: Stored, length: int) -> None:
        """Put the first `length` stored tokens into a row."""
        columns = slice(self._first[index], self._first[index] + length)
        stored.copy_into(
            [keys[index, :, columns] for keys in self._keys],
            [values[index, :, columns] for values in self._values],
        )

    def states(self, index: int, start: int, stop: int) -> tuple[States, States]:
        """Copies of a row's keys and values `[K, stop - start, D]` by layer, tokens `start` to `stop`."""
        columns = slice(self._first[index] + start, self._first[index] + stop)
        keys, values = (
            _copied([layer[index, :, columns] for layer in both]) for both in (self._keys, self._values)
        )
        return keys, values

    def begin(self, new: int, rows: slice = _ALL) -> None:
        """The next forward brings the last `new` columns up to `end`, of `rows` only."""
        self._new, self._rows = new, rows
        self._blocks.clear()

    def advance(self) -> None:
        """The next forward brings one more column."""
        if self.end == self.columns:
            self._grow(min(self._last - self.end, _COLUMNS_AT_ONCE))
        self.end += 1
        self.begin(1)
        self._seen[..., self.end - 1] = 0.0

    def positions(self) -> Tensor:
        """[B, N] positions of the new tokens in their rows (padding counts as 0)."""
        columns = torch.arange(self.end - self._new, self.end, device=self._starts.device)
        return (columns[None, :] - self._starts[self._rows, None]).clamp_(min=0)

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these `[B']`, in this order."""
        for both in (self._keys, self._values):
            for layer, old in enumerate(both):
                old[: len(rows)] = old[rows]
                both[layer] = old[: len(rows)]
        self._starts = self._starts[rows]
        self._first = self._starts.tolist()
        self._seen = self._own_columns()

    def _grow(self, columns: int) -> None:
        for both in (self._keys, self._values):
            for layer, old in enumerate(both):
                both[layer] = torch.nn.functional.pad(old, (0, 0, 0, columns))
        self._seen = self._own_columns()

    def _own_columns(self) -> Tensor:
        columns = torch.arange(self.columns, device=self._starts.device)
        visible = (columns >= self._starts[:, None]) & (columns < self.end)
        return additive(visible, self._values[0].dtype)[:, None, None, :]

    def keys_values(self, key: Tensor, value: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        keys, values = self._keys[layer][self._rows], self._values[layer][self._rows]
        keys[:, :, self.end - self._new : self.end] = key
        values[:, :, self.end - self._new : self.end] = value
        return keys, values

    def blocks(self, window: int | None, dtype: torch.dtype) -> Sequence[QueryBlock]:
        if window not in self._blocks:
            self._blocks[window] = [QueryBlock(_ALL, None, self._bias(window))]
        return self._blocks[window]

    def _bias(self, window: int | None) -> Tensor:
        if self._new == 1 and (window is None or self.end <= window):
            return self._seen[self._rows]
        columns = torch.arange(self.columns, device=self._starts.device)
        queries = torch.arange(self.end - self._new, self.end, device=self._starts.device)[:, None]
        later = columns > queries
        if window is not None:
            later = later | (queries - columns >= window)
        bias = self._seen[self._rows].masked_fill(later, float("-inf"))
        # a query on padding sees itself, or its softmax would be nan and spoil the keys of the next layer
        return bias.masked_fill(columns == queries, 0.0)


def _copied(layers: Sequence[Tensor]) -> States:
    """A copy of each; of equal shapes in one piece, which is one copy on a GPU."""
    if len({layer.shape for layer in layers}) == 1:
        return torch.stack(list(layers))
    return tuple(layer.clone() for layer in layers)

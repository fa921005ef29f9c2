"""The preallocated keys and values of one micro-batch while it decodes.

Rows are right-aligned: every row's next token goes into the same column, so a step writes one
column and the mask of a row never changes. What precedes a row's first token is never seen.

Shapes: Y layers, B rows, K key/value heads, C columns, N new tokens, D head size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowdpo_pl.engines.prefix_cache import Stored


class Workspace:
    """Implements `attention.View` for queries on cached rows."""

    def __init__(
        self, config: Any, lengths: list[int], room: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        """`lengths`: tokens of each row once the first block is in; `room`: columns for what follows."""
        self.end = max(lengths)
        """Columns in use after the current forward."""
        self._first = [self.end - length for length in lengths]
        self._starts = torch.tensor(self._first, device=device)
        """[B] first column of each row, beside the same numbers on the host."""
        heads = config.num_key_value_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = (config.num_hidden_layers, len(lengths), heads, self.end + room, size)
        self._values = torch.zeros(shape, dtype=dtype, device=device)
        """[Y, B, K, C, D]; zeros, because what no row owns is multiplied by zero weights."""
        self._keys = torch.zeros_like(self._values)
        if device.type == "cpu":  # products with one-token queries run twice as fast on columns of keys
            self._keys = self._keys.transpose(3, 4).contiguous().transpose(3, 4)
        self._new = self.end
        self._padding: Tensor | None = None
        self._biases: dict[int | None, Tensor] = {}

    def load(self, index: int, stored: Stored, length: int) -> None:
        """Put the first `length` stored tokens into a row."""
        columns = slice(self._first[index], self._first[index] + length)
        stored.copy_into(self._keys[:, index, :, columns], self._values[:, index, :, columns])

    def states(self, index: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Copies of a row's keys and values `[Y, K, stop - start, D]`, tokens `start` to `stop`."""
        first = self._first[index]
        keys, values = (
            both[:, index, :, first + start : first + stop] for both in (self._keys, self._values)
        )
        return keys.clone(), values.clone()

    def begin(self, new: int) -> None:
        """The next forward brings the last `new` columns up to `end`."""
        self._new = new
        self._biases.clear()

    def advance(self) -> None:
        """The next forward brings one more column."""
        self.end += 1
        self.begin(1)

    def positions(self) -> Tensor:
        """[B, N] positions of the new tokens in their rows (padding counts as 0)."""
        columns = torch.arange(self.end - self._new, self.end, device=self._starts.device)
        return (columns[None, :] - self._starts[:, None]).clamp_(min=0)

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these `[B']`, in this order."""
        for name in ("_keys", "_values"):
            old: Tensor = getattr(self, name)
            for layer in old:  # layer by layer, so that the copy in between stays small
                layer[: len(rows), :, : self.end] = layer[rows, :, : self.end]
            setattr(self, name, old[:, : len(rows)])
        self._starts = self._starts[rows]
        self._first = self._starts.tolist()
        self._padding = None

    def keys_values(self, key: Tensor, value: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        keys, values = self._keys[layer], self._values[layer]
        keys[:, :, self.end - self._new : self.end] = key
        values[:, :, self.end - self._new : self.end] = value
        return keys[:, :, : self.end], values[:, :, : self.end]

    def bias(self, window: int | None, dtype: torch.dtype) -> Tensor:
        if window not in self._biases:
            self._biases[window] = self._bias(window, dtype)
        return self._biases[window]

    def _bias(self, window: int | None, dtype: torch.dtype) -> Tensor:
        if self._padding is None:
            columns = torch.arange(self._values.shape[3], device=self._starts.device)
            hidden = columns[None, :] < self._starts[:, None]
            self._padding = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
            self._padding = self._padding.masked_fill_(hidden, float("-inf"))[:, None, None, :]
        if self._new == 1 and (window is None or self.end <= window):
            return self._padding[..., : self.end]
        queries = torch.arange(self.end - self._new, self.end, device=self._starts.device)[:, None]
        columns = torch.arange(self.end, device=self._starts.device)[None, :]
        hidden = columns > queries
        if window is not None:
            hidden = hidden | (queries - columns >= window)
        bias = self._padding[..., : self.end].masked_fill(hidden[None, None], float("-inf"))
        # a query on padding sees itself, or its softmax would be nan and spoil the keys of the next layer
        return bias.masked_fill((columns == queries)[None, None], 0.0)

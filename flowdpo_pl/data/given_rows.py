"""Rows that a Python program has, a list of dicts or a `datasets.Dataset`, in place of a file's path."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from flowdpo_pl.data.indexed_rows import IndexedRows, Row, digest_of
from flowdpo_pl.data.table_values import table_rows
from flowdpo_pl.errors import UserError

if not TYPE_CHECKING:  # what a config can say; read from here by the command line, too
    RowsPlace: TypeAlias = str
else:
    from datasets import Dataset

    RowsPlace: TypeAlias = str | Path | Sequence[Mapping[str, Any]] | Dataset | "GivenRows"
    """Where a source of problems is."""

MARK = "python:"
"""How a run's config begins to tell of rows that only its program had."""
_CHUNK = 1000


class GivenRows(IndexedRows):
    """Rows that came from no file. A list is copied, so that later changes of it do nothing.

    Args:
        rows: a list, or another sequence, of mappings by column; or a `datasets.Dataset`, whose rows stay
            where they are.

    Raises:
        UserError: they are neither.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]] | Dataset) -> None:
        self._rows: Any = _copied(rows) if _is_list(rows) else _data_set(rows)
        self.total = len(self._rows)

    def read(self, indices: Sequence[int]) -> list[Row]:
        listed = isinstance(self._rows, list)
        rows = [self._rows[index] for index in indices] if listed else table_rows(self._rows, indices)
        return [
            Row(f"problems[{index}]", {name: _plain(value) for name, value in row.items()})
            for index, row in zip(indices, rows, strict=True)
        ]

    @cached_property
    def content(self) -> str:  # type: ignore[override]
        """Digest of all rows; of values that are no data (a picture) only their type counts."""
        parts = []
        for start in range(0, self.total, _CHUNK):
            rows = self.read(range(start, min(start + _CHUNK, self.total)))
            parts.append(digest_of("\n".join(_as_text(row.values) for row in rows).encode(errors="replace")))
        return digest_of(" ".join(parts).encode())

    def __str__(self) -> str:
        return f"{MARK}{self.total} rows with digest {self.content}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GivenRows) and (self.total, self.content) == (other.total, other.content)

    def __hash__(self) -> int:
        return hash(self.content)


def require_a_place(path: str) -> None:
    """
    Raises:
        UserError: the path is what a run's config tells of rows that only its program had.
    """
    if path.startswith(MARK):
        raise UserError(
            f"'{path}' were given in Python, and no file of them is known: name a file or a hub id, or run "
            "the program that has them"
        )


def _is_list(rows: object) -> bool:
    return isinstance(rows, Sequence) and not isinstance(rows, str | bytes)


def _copied(rows: Any) -> list[dict[str, Any]]:
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise UserError(
                f"problems[{index}] is of type {type(row).__name__}: give a dict of the row's columns, such "
                'as {"question": "1 + 1?", "answer": "2"}.'
            )
        if other := next((name for name in row if not isinstance(name, str)), None):
            raise UserError(f"problems[{index}] has a column named {other!r}: give it a text for a name.")
    return [dict(row) for row in rows]


def _data_set(rows: Any) -> Dataset:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    if isinstance(rows, Dataset):
        return rows.with_format(None)
    kind = type(rows).__name__
    if isinstance(rows, DatasetDict | IterableDatasetDict):
        splits = ", ".join(map(str, rows))
        raise UserError(f"problems are given as a {kind}: take one of its splits ({splits}).")
    if isinstance(rows, IterableDataset):
        raise UserError(
            "problems are given as an IterableDataset, which a resumed run can't read again from the "
            "start: give a Dataset, or the path or hub id that it reads."
        )
    raise UserError(
        f"problems are given as {kind}: give a list of dicts, a datasets.Dataset, or a path or hub id."
    )


def _plain(value: Any) -> object:
    """The value as a JSON file would give it, NumPy's numbers with the digits that they show."""
    import numpy as np

    if isinstance(value, np.floating) and not isinstance(value, np.float64) and np.isfinite(value):
        return Decimal(str(value))
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return value


def _as_text(values: Mapping[str, object]) -> str:
    by_name = dict(sorted(values.items()))
    return json.dumps(by_name, ensure_ascii=False, skipkeys=True, default=_told)


def _told(value: object) -> str:
    is_data = isinstance(value, Decimal | date | time | bytes)
    return str(value) if is_data else type(value).__name__

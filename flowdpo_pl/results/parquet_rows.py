"""Rows as a parquet file, written as they come: any number of them in flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowdpo_pl.results.json_text import whole_text

if TYPE_CHECKING:
    import pyarrow

_ROWS_AT_ONCE = 4096


def write_parquet_rows(rows: Iterable[Mapping[str, Any]], schema: pyarrow.Schema, path: Path) -> None:
    """Write rows, a group of 4096 after another.

    Args:
        rows: by column; a column that a row lacks is null.
        schema: of the columns.
        path: the file, which can be read once all is written.
    """
    from pyarrow import Table, parquet

    with parquet.ParquetWriter(path, schema) as writer:
        for some in _portions(rows):
            writer.write_table(Table.from_pylist([_storable(row) for row in some], schema=schema))


def _storable(row: Mapping[str, Any]) -> dict[str, Any]:
    """With half characters, which UTF-8 does not have, as their escapes."""
    return {name: whole_text(value) if isinstance(value, str) else value for name, value in row.items()}


def _portions(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], ...]]:
    left = iter(rows)
    return iter(lambda: tuple(islice(left, _ROWS_AT_ONCE)), ())

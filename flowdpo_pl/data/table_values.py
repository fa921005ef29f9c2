"""Values of a `datasets` table as they were written: a float below 64 bits is its shortest decimal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any


def table_rows(table: Any, indices: Sequence[int]) -> list[dict[str, object]]:
    """Rows of a `datasets.Dataset`, by column, in the order of the indices (from 0)."""
    columns = table[list(indices)]
    short = short_floats(table.features)
    return [
        as_written({name: column[place] for name, column in columns.items()}, short)
        for place in range(len(indices))
    ]


def short_floats(features: Mapping[str, object] | None) -> dict[str, str]:
    """The columns of floats below 64 bits, with their types."""
    kinds = {name: str(getattr(feature, "dtype", "")) for name, feature in (features or {}).items()}
    return {name: kind for name, kind in kinds.items() if kind in ("float16", "float32")}


def as_written(values: dict[str, object], short: Mapping[str, str]) -> dict[str, object]:
    """The values with floats below 64 bits as the shortest decimal: 0.1 is not 0.10000000149011612."""
    import numpy as np

    for name, kind in short.items():
        if isinstance(value := values[name], float) and np.isfinite(value):
            values[name] = Decimal(str(np.dtype(kind).type(value)))
    return values

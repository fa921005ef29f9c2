"""Columns of a row that a problem carries on: their values as JSON has them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any


def kept_value(value: object) -> Any:
    """A cell's value as text, number, truth, null, list or object.

    A number with a point is the nearest float, and null where it is not finite; dates and times are texts in
    ISO form.

    Raises:
        TypeError: names the type of a value that JSON has no form for, such as bytes.
    """
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): kept_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [kept_value(inner) for inner in value]
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(type(value).__name__)

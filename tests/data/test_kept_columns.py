"""Cells as JSON has them."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal

import pytest

from flowdpo_pl.data.kept_columns import kept_value


def test_what_json_has_stays_and_comes_back() -> None:
    value = {"a": [1, "x", None, True, 0.5], "b": {"c": []}}
    assert kept_value(value) == value == json.loads(json.dumps(kept_value(value)))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Decimal("0.1"), 0.1),
        (float("nan"), None),
        ((1, Decimal("2.0")), [1, 2.0]),
        (date(2024, 5, 1), "2024-05-01"),
        (datetime(2024, 5, 1, 12), "2024-05-01T12:00:00"),
        ({1: "x"}, {"1": "x"}),
    ],
)
def test_other_values_become_plain(value: object, kept: object) -> None:
    assert kept_value(value) == kept


def test_what_json_has_no_form_for_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^bytes$"):
        kept_value({"picture": b"\x00"})

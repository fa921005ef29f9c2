"""Which dtype is fast here."""

from __future__ import annotations

import pytest

from flowdpo_pl.model import product_rates


def test_a_dtype_that_loses_is_named_with_both_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"float32": 3e11, "bfloat16": 1.5e11, "float16": 2.9e11}
    monkeypatch.setattr(product_rates, "product_rate", rates.__getitem__)
    told = product_rates.slower_dtype("bfloat16")
    assert told is not None and "150 GFLOP/s" in told and "300" in told
    assert product_rates.slower_dtype("float16") is None and product_rates.slower_dtype("float32") is None

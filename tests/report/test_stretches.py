"""Stretches take every row once, in order."""

from __future__ import annotations

import pytest

from flowdpo_pl.report.stretches import mean, share, stretches, total


@pytest.mark.parametrize("rows", [0, 1, 7, 24, 25, 100])
def test_every_row_stands_in_one_stretch(rows: int) -> None:
    ends = [8.0 * (number + 1) for number in range(rows)]
    parts = list(stretches(ends, lambda end: end, 24))
    assert len(parts) == min(rows, 24)
    assert [end for part in parts for end in part.rows] == ends
    assert [part.start for part in parts] == [0.0, *(part.end for part in parts)][: len(parts)]
    assert all(part.end == part.rows[-1] and part.start < part.middle < part.end for part in parts)


def test_numbers_of_a_stretch() -> None:
    rows = [{"a": 1.0, "n": 3.0}, {"a": 5.0, "n": 1.0}, {"n": 7.0}]
    assert total(rows, "a") == 6 and total(rows, "b") == 0
    assert mean(rows, "a", "n") == 2 and mean(rows, "b", "n") is None
    assert share(1, 4) == 25 and share(0, 0) is None

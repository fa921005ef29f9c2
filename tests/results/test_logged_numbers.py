"""`metrics.csv` is read as it was written, whole rows alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.logged_numbers import read_logged


def test_rows_hold_what_is_there_and_finite(tmp_path: Path) -> None:
    text = "problems_seen,progressive_accuracy,lr\n8,0.5,\n8,,0.1\n16,nan,\n24,0.7"
    (tmp_path / "metrics.csv").write_text(text, encoding="utf-8")
    logged = read_logged(tmp_path)
    assert logged is not None and logged.axis == "problems_seen"
    assert logged.rows == [
        {"problems_seen": 8, "progressive_accuracy": 0.5},
        {"problems_seen": 8, "lr": 0.1},
        {"problems_seen": 16},
    ]
    assert logged.names == ["problems_seen", "progressive_accuracy", "lr"]
    assert logged.with_all("lr") == [logged.rows[1]]


def test_a_logger_s_prefix_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,mine-lr,mine-train/loss\n1,0.1,2.5\n", encoding="utf-8")
    logged = read_logged(tmp_path)
    assert logged is not None and logged.rows == [{"step": 1, "lr": 0.1, "train/loss": 2.5}]


@pytest.mark.parametrize("text", [None, "", "problems_seen,a\n", "problems_seen"])
def test_no_row_is_nothing(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "metrics.csv").write_text(text, encoding="utf-8")
    assert read_logged(tmp_path) is None


def test_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("a,b\n1,two\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"metrics.csv is no table of a run's numbers .*two"):
        read_logged(tmp_path)

"""Rows are on disk at once, columns may come later, and a resumed run keeps what is before its checkpoint."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.metrics_table import MetricsTable


def table(folder: Path, prefix: str = "") -> MetricsTable:
    return MetricsTable(str(folder), name="run", version="", prefix=prefix)


def rows(logger: MetricsTable) -> list[dict[str, str]]:
    with logger.file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_nothing_is_touched_before_the_first_row(tmp_path: Path) -> None:
    logger = table(tmp_path)
    assert logger.experiment is None
    logger.log_hyperparams({"a": 1})
    logger.save()
    logger.go_on(0)
    logger.finalize("success")
    assert list(tmp_path.iterdir()) == []
    logger.log_metrics({"a": torch.tensor(0.5)}, 3)
    assert logger.file == tmp_path / "run" / "metrics.csv" and rows(logger) == [{"step": "3", "a": "0.5"}]


def test_a_column_that_comes_later_is_empty_before(tmp_path: Path) -> None:
    logger = table(tmp_path, prefix="x")
    logger.log_metrics({"b": 1}, 1)
    logger.log_metrics({"a": 2}, 2)
    logger.log_metrics({"b": 3}, 3)
    assert list(rows(logger)[0]) == ["step", "x-b", "x-a"]
    assert [(row["x-b"], row["x-a"]) for row in rows(logger)] == [("1", ""), ("", "2"), ("3", "")]


@pytest.mark.parametrize("cut_off", ["", "5,", "5"])
def test_a_resumed_run_keeps_the_rows_up_to_its_checkpoint(cut_off: str, tmp_path: Path) -> None:
    for step in range(1, 5):
        table(tmp_path).log_metrics({"a": step / 2}, step)
    logger = table(tmp_path)
    with logger.file.open("a") as file:
        file.write(cut_off)
    logger.go_on(2)
    logger.log_metrics({"a": 7.0}, 3)
    assert [(row["step"], row["a"]) for row in rows(logger)] == [("1", "0.5"), ("2", "1.0"), ("3", "7.0")]


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "step,a\nx,2\n", "step,a\n,2\n"])
def test_a_foreign_file_is_named(content: str, tmp_path: Path) -> None:
    logger = table(tmp_path)
    logger.file.parent.mkdir()
    logger.file.write_text(content)
    with pytest.raises(UserError, match=r"metrics\.csv is not of this run"):
        logger.go_on(2)
    assert logger.file.read_text() == content


def test_rows_begin_with_what_the_run_counts(tmp_path: Path) -> None:
    logger = table(tmp_path)
    logger.axis = "problems_seen"
    logger.log_metrics({"a": 1, "problems_seen": 8.0}, 8)
    assert list(rows(logger)[0].items()) == [("problems_seen", "8"), ("a", "1")]
    logger.go_on(7)
    assert rows(logger) == []

"""The results of a finished run, whoever made it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowdpo_pl import RolloutTree, RunResults
from flowdpo_pl.errors import UserError


def test_a_run_of_the_command_line_has_its_curve_trees_and_adapters(finished_run: Path) -> None:
    results = RunResults(finished_run)
    assert [point.problems_seen for point in results.curve] == [8, 16]
    summary = json.loads((finished_run / "summary.json").read_text("utf-8"))
    assert results.summary == summary
    last = results.curve[-1]
    assert last.accuracy == pytest.approx(summary["progressive_accuracy"], abs=1e-6)
    assert last.low <= last.accuracy <= last.high and last.window_low <= last.window_accuracy
    trees = list(results.trees())
    assert len(trees) == 16 and all(isinstance(tree, RolloutTree) for tree in trees)
    right = sum(tree.main.verdict.correct for tree in trees)
    assert right / 16 == pytest.approx(last.accuracy, abs=1e-6)
    adapters = results.adapters()
    assert list(adapters) == ["answer", "stop"]
    assert all((folder / "adapter_config.json").is_file() for folder in adapters.values())
    assert results.adapters("problems_000016")["stop"].parent.name == "problems_000016"


def test_what_was_not_kept_is_said_with_the_callback_that_keeps_it(tmp_path: Path) -> None:
    results = RunResults(tmp_path)
    with pytest.raises(UserError, match=r"no accuracy_curve\.csv: give its run the callback AccuracyCurve"):
        _ = results.curve
    with pytest.raises(UserError, match="callback RunSummary"):
        _ = results.summary
    with pytest.raises(UserError, match="TreeLog"):
        next(results.trees())
    with pytest.raises(UserError, match="no adapters yet"):
        results.adapters()

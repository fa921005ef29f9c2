"""Tests of some adapters are found by their summaries; one of another form, or of no problem, is none."""

from __future__ import annotations

import json
from pathlib import Path

from flowdpo_pl.results.scores import Score, scores_of, shown
from tests.mutants import mutants

SUMMARY = {
    "ended": "finished",
    "problems": 8,
    **{"accuracy": 0.5, "low": 0.25, "high": 0.75},
    "made_by": {
        "adapters": {"answer": "f"},
        "flow": {"class": "AnswerStopFlow"},
        "samples": 2,
        "sampling": {"temperature": 0.0},
        "seed": 1,
    },
}


def found(run: Path, summary: object) -> list[Score]:
    (run / "test").mkdir(parents=True, exist_ok=True)
    (run / "test" / "summary.json").write_text(json.dumps(summary))
    return scores_of(run, {"answer": "f", "stop": "g"})


def test_a_test_of_these_adapters_is_told_in_a_row(tmp_path: Path) -> None:
    row = ("unknown", "8", "50.0% (25.0% to 75.0%)", "AnswerStopFlow, greedy, 2 samples, seed 1")
    assert list(shown(found(tmp_path / "run", SUMMARY))) == [row]
    assert not found(
        tmp_path / "run", {**SUMMARY, "made_by": {**SUMMARY["made_by"], "adapters": {"stop": "f"}}}
    )


def test_a_summary_with_anything_in_any_place_is_told_or_none(tmp_path: Path) -> None:
    ends = [list(shown(found(tmp_path / "run", mutant))) for mutant in mutants(SUMMARY)]
    assert any(ends) and not all(ends)
    assert not found(tmp_path / "run", {**SUMMARY, "accuracy": None})
    (tmp_path / "run" / "test" / "summary.json").write_text("[" * 100_000)
    assert not scores_of(tmp_path / "run", {"answer": "f"})

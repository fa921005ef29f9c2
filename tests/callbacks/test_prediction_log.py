"""Real models are tested in tests/modules/test_evaluation_module.py.

Also tests `callbacks.files.evaluation_log`: set-up, and going on from what an interrupted run has left.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from callbacks import PredictionLog
from callbacks.prediction_log import print_table
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.predictions import read_predictions
from tests.callbacks.evaluating import MADE_BY, PROBLEMS, Evaluated, prediction, run_predict, run_test
from tests.callbacks.playing import Stopped, stop_at


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_predictions_are_in_order_and_the_summary_beside_them(tmp_path: Path) -> None:
    run_test(tmp_path, PredictionLog())
    assert read_predictions(tmp_path / "predictions.jsonl") == [prediction(name) for name in PROBLEMS]
    found = json.loads((tmp_path / "summary.json").read_text())
    assert (found["verb"], found["problems"], found["accuracy"]) == ("test", 8, 0.5)
    assert found["made_by"] == MADE_BY and found["versions"]["torch"]
    assert found["unknown"] is None, "NaN is no JSON"
    assert names(tmp_path) == {"predictions.jsonl", "summary.json"}


@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize("torn", ["", '[{"problem_id": "p7", "qu'])
def test_interrupted_and_gone_on_equals_uninterrupted(tmp_path: Path, batch: int, torn: str) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_test(whole, PredictionLog())
    with pytest.raises(Stopped):
        run_test(parts, PredictionLog(), module=Evaluated(before_batch=stop_at(batch)))
    unfinished = parts / "predictions.unfinished.jsonl"
    assert names(parts) == {unfinished.name}
    assert len(unfinished.read_text().splitlines()) == 1 + 3 * batch, "the header, then a problem a line"
    with unfinished.open("a") as file:
        file.write(torn)  # killed while writing
    rest = run_test(parts, PredictionLog())
    assert rest.answered_now == PROBLEMS[3 * batch :]
    for name in ("predictions.jsonl", "summary.json"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
    assert names(parts) == names(whole)


def test_killed_before_its_header_it_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "predictions.unfinished.jsonl").write_text('{"made_by"')
    assert run_test(tmp_path, PredictionLog()).answered_now == PROBLEMS


def test_answers_made_in_another_way_are_not_taken(tmp_path: Path) -> None:
    other = json.dumps({"made_by": {**MADE_BY, "seed": 8}}) + "\n"
    (tmp_path / "predictions.unfinished.jsonl").write_text(other)
    with pytest.raises(UserError, match="made otherwise: seed was 8 and is 7"):
        run_test(tmp_path, PredictionLog())
    assert (tmp_path / "predictions.unfinished.jsonl").read_text() == other


def test_an_interruption_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Stopped):
        run_test(tmp_path, PredictionLog(), module=Evaluated(before_batch=stop_at(1)))
    told = f"test: Stopped; the same command goes on from {tmp_path / 'predictions.unfinished.jsonl'}"
    assert told in capsys.readouterr().out


def test_predict_is_left_alone(tmp_path: Path) -> None:
    run_predict(tmp_path, PredictionLog())
    assert names(tmp_path) == set()


def test_the_table_has_a_row_a_label_and_the_majority_where_there_are_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_test(tmp_path, PredictionLog())
    printed = capsys.readouterr().out
    assert "level: 0" in printed and "level: 1" in printed and "50.0%" in printed
    assert "majority" not in printed and f"{tmp_path / 'predictions.jsonl'}\n" in printed
    share = {"problems": 1200, "accuracy": 0.25, "low": 0.2, "high": 0.3}
    nothing = {"problems": 0, "accuracy": None, "low": None, "high": None}
    labels = {"level": {"9": nothing, "[red]\x1b[2J": share}}
    print_table(
        {
            **share,
            "ended_by": "data",
            "majority": {**share, "accuracy": 0.5},
            "by_label": labels,
            "chooser": {},
        }
    )
    printed = capsys.readouterr().out
    assert "majority" in printed and "1,200" in printed and "25.0% (20.0% to 30.0%)" in printed
    assert "50.0%" in printed and "none" in printed
    assert "[red]\\x1b[2J" in printed and "\x1b" not in printed, "a label steers nothing"

"""Real models are tested in tests/modules/test_evaluation_module.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from callbacks import TraceLog
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.traces import read_traces, to_line
from tests.callbacks.evaluating import MADE_BY, PROBLEMS, Evaluated, run_predict, run_test, trace
from tests.callbacks.playing import Stopped, stop_at

TRACES = [trace(name) for name in PROBLEMS]


def summary(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "summary.json").read_text())
    return found


def test_traces_are_in_order_and_the_summary_beside_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_predict(tmp_path, TraceLog())
    assert read_traces(tmp_path / "traces.jsonl") == TRACES
    found = summary(tmp_path)
    assert (found["verb"], found["ended"], found["problems"]) == ("predict", "finished", 8)
    assert (found["acceptance"], found["generated_tokens"], found["made_by"]) == (0.5, 80, MADE_BY)
    printed = capsys.readouterr().out
    assert (
        "predict: finished" in printed and "50.0%" in printed and f"{tmp_path / 'traces.jsonl'}\n" in printed
    )


@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize("torn", ["", to_line(TRACES[6])[:40]])
def test_interrupted_and_gone_on_equals_uninterrupted(tmp_path: Path, batch: int, torn: str) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_predict(whole, TraceLog())
    with pytest.raises(Stopped):
        run_predict(parts, TraceLog(), module=Evaluated(before_batch=stop_at(batch)))
    assert (summary(parts)["ended"], summary(parts)["problems"]) == ("Stopped", 3 * batch)
    with (parts / "traces.jsonl").open("a") as file:
        file.write(torn)  # killed while writing
    rest = run_predict(parts, TraceLog())
    assert rest.answered_now == PROBLEMS[3 * batch :]
    assert (parts / "traces.jsonl").read_bytes() == (whole / "traces.jsonl").read_bytes()
    assert summary(parts) == {**summary(whole), "resumed": 3 * batch}


def test_nothing_collected_has_no_acceptance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Stopped):
        run_predict(tmp_path, TraceLog(), module=Evaluated(before_batch=stop_at(0)))
    assert summary(tmp_path)["acceptance"] is None and "acceptance" not in capsys.readouterr().out


def test_traces_made_in_another_way_are_not_taken(tmp_path: Path) -> None:
    run_predict(tmp_path, TraceLog())
    lines = (tmp_path / "traces.jsonl").read_text().replace('"seed": 7', '"seed": 8')
    (tmp_path / "traces.jsonl").write_text(lines)
    with pytest.raises(UserError, match="made otherwise: seed was 8 and is 7"):
        run_predict(tmp_path, TraceLog())
    assert (tmp_path / "traces.jsonl").read_text() == lines


@pytest.mark.parametrize("parquet", [False, True])
def test_a_table_is_written_where_asked_when_the_run_has_ended(tmp_path: Path, parquet: bool) -> None:
    with pytest.raises(Stopped):
        run_predict(tmp_path, TraceLog(parquet), module=Evaluated(before_batch=stop_at(1)))
    assert not (tmp_path / "traces.parquet").exists()
    run_predict(tmp_path, TraceLog(parquet))
    assert (tmp_path / "traces.parquet").exists() == parquet
    assert not parquet or read_traces(tmp_path / "traces.parquet") == TRACES


def test_test_is_left_alone(tmp_path: Path) -> None:
    run_test(tmp_path, TraceLog())
    assert list(tmp_path.iterdir()) == []

"""What the line itself does is in test_progress_line.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import rich
from rich.console import Console

from callbacks import EvaluationProgressBar, TraceLog
from flowdpo_pl.errors import UserError
from tests.callbacks.evaluating import Evaluated, run_predict, run_test
from tests.callbacks.playing import Playing, Stopped, fit, stop_at, trainer

VERBS = {"test": run_test, "predict": run_predict}


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if "problems |" in line]


@pytest.mark.parametrize("verb", VERBS)
def test_a_line_now_and_then_and_at_the_end(
    tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    VERBS[verb](tmp_path, EvaluationProgressBar(6), enable_progress_bar=True)
    printed = lines(capsys)
    assert [line.split(" | ")[:3] for line in printed] == [
        [f"{verb} 6/8 problems", "right 50.0%", "60 tokens"],
        [f"{verb} 8/8 problems", "right 50.0%", "80 tokens"],
    ]
    assert all(" tokens/s | " in line for line in printed)


def test_without_a_known_end_there_are_the_pace_and_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_test(tmp_path, EvaluationProgressBar(6), module=Evaluated(total=None), enable_progress_bar=True)
    assert [line.partition(" |")[0] for line in lines(capsys)] == ["test 6 problems", "test 8 problems"]


def test_it_goes_on_where_an_interrupted_run_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Stopped):
        run_predict(tmp_path, TraceLog(), module=Evaluated(before_batch=stop_at(2)))
    capsys.readouterr()
    run_predict(tmp_path, TraceLog(), EvaluationProgressBar(6), enable_progress_bar=True)
    assert [line.partition(" |")[0] for line in lines(capsys)] == ["predict 8/8 problems"]


@pytest.mark.parametrize("stopped", [False, True])
def test_on_a_terminal_it_gives_the_terminal_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stopped: bool
) -> None:
    console = Console(force_terminal=True, width=150)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    bar: Any = EvaluationProgressBar(6)
    if stopped:
        with pytest.raises(Stopped):
            module = Evaluated(before_batch=stop_at(1))
            run_test(tmp_path, bar, module=module, enable_progress_bar=True)
    else:
        run_test(tmp_path, bar, enable_progress_bar=True)
    printed = capsys.readouterr().out
    assert ("3/8" if stopped else "8/8") in printed
    assert printed.rfind("\x1b[?25h") > printed.rfind("\x1b[?25l"), "the cursor is shown again"


def test_disabled_it_is_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bar = EvaluationProgressBar(1)
    bar.disable()
    run_test(tmp_path, bar, enable_progress_bar=True)
    assert lines(capsys) == []
    bar.enable()
    run_test(tmp_path, bar, enable_progress_bar=True)
    assert lines(capsys) != []


def test_training_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path, EvaluationProgressBar(1), enable_progress_bar=True)
    assert lines(capsys) == []


def test_a_module_that_neither_tests_nor_collects_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"EvaluationProgressBar follows .*EvaluationModule, not Playing"):
        EvaluationProgressBar().setup(trainer(tmp_path), Playing(), "test")

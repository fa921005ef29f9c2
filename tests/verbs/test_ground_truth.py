"""Ground-truth traces from rows: rendered, or the data set's own."""

from __future__ import annotations

import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.data.solutions import RenderedEquation, WorkedSolution
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.traces import read_traces
from flowdpo_pl.types import Verdict
from flowdpo_pl.verbs.ground_truth import ground_truth
from flowdpo_pl.verify.math_verifier import MathVerifier


def source(folder: Path, *rows: dict[str, Any]) -> ProblemSource:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return ProblemSource(str(file), id_field="id")


def test_rows_become_traces_or_are_left_out_with_the_reason(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": "3 times 8 and 2?", "answer": "30", "equation": "(8 + 2) * 3"},
        {"id": "b", "question": "no equation?", "answer": "1", "equation": None},
        {"id": "c", "question": "another number?", "answer": "1", "equation": "1 + 1"},
    ]
    ground_truth(source(tmp_path, *rows), RenderedEquation(), tmp_path / "out")
    (trace,) = read_traces(tmp_path / "out" / "traces.jsonl")
    assert trace.trace == "8 + 2 = 10. 10 * 3 = 30. The answer is 30."
    assert (trace.problem_id, trace.gold, trace.correct, trace.extracted) == ("a", "30", True, "30")
    assert (trace.source, trace.generated_tokens) == ("ground_truth", 0)
    assert trace.made_by["solution"]["class"] == "RenderedEquation"
    left_out = [json.loads(line) for line in (tmp_path / "out" / "left_out.jsonl").read_text().splitlines()]
    assert left_out == [
        {"problem_id": "b", "reason": "no equation"},
        {"problem_id": "c", "reason": "the equation gives 2, but the gold answer is 1"},
    ]


def test_a_worked_solution_is_taken_as_it_stands_but_for_what_is_removed(tmp_path: Path) -> None:
    row = {"id": "a", "question": "half of 48?", "answer": "It is 48/2 = <<48/2=24>>24.\n#### 24"}
    ground_truth(source(tmp_path, row), WorkedSolution(remove="<<[^>]*>>"), tmp_path)
    (trace,) = read_traces(tmp_path / "traces.jsonl")
    assert trace.trace == "It is 48/2 = 24.\n#### 24" and trace.gold == "24"


def test_a_solution_that_the_judge_finds_wrong_is_left_out(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": "q1", "answer": "7", "solution": "It is 8. The answer is 8."},
        {"id": "b", "question": "q2", "answer": "7", "solution": "It is 7. The answer is 7."},
    ]
    ground_truth(source(tmp_path, *rows), WorkedSolution("solution"), tmp_path)
    assert [trace.problem_id for trace in read_traces(tmp_path / "traces.jsonl")] == ["b"]
    assert "judged wrong: 8 instead of 7" in (tmp_path / "left_out.jsonl").read_text()


def test_rows_that_share_an_id_keep_their_own_solutions(tmp_path: Path) -> None:
    """The first is skipped for its gold answer, the second must not get its solution."""
    rows = [
        {"id": "a", "question": "q1", "answer": "see the solution sheet", "solution": "The answer is 8."},
        {"id": "a", "question": "q2", "answer": "7", "solution": "The answer is 7."},
    ]
    ground_truth(source(tmp_path, *rows), WorkedSolution("solution"), tmp_path)
    assert [trace.trace for trace in read_traces(tmp_path / "traces.jsonl")] == ["The answer is 7."]


def test_what_is_skipped_and_what_is_not_judged_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"id": "a", "question": "q1", "answer": "-", "solution": "It is 8."},
        {"id": "b", "question": "q2", "answer": "7", "solution": "The answer is 7."},
        {"id": "c", "question": "q3", "answer": "8", "solution": "The answer is 8."},
        {"id": "d", "question": "q4", "answer": "9", "solution": "The answer is \ud83d 9."},
    ]

    class Slow(MathVerifier):
        def compare(self, prediction: object, gold: object) -> Future[Verdict]:
            done: Future[Verdict] = Future()
            done.set_result(Verdict(gold == "7", None, None if gold == "7" else "timeout"))
            return done

    ground_truth(source(tmp_path, *rows), WorkedSolution("solution"), tmp_path, Slow())
    assert "1 rows skipped (1 unreadable gold answer)" in capsys.readouterr().out
    left_out = [json.loads(line)["reason"] for line in (tmp_path / "left_out.jsonl").read_text().splitlines()]
    assert left_out == ["solution holds half a character (a lone surrogate)", "not judged: timeout"]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    rows = source(tmp_path, {"id": "a", "question": "q", "answer": "7"})
    with pytest.raises(UserError, match=r"gives a right solution \(no equation\): set solution.field"):
        ground_truth(rows, RenderedEquation(), tmp_path)


def test_a_pattern_that_cannot_be_read_is_refused_at_once() -> None:
    with pytest.raises(UserError, match=r"remove '<<\[' is no regular expression"):
        WorkedSolution(remove="<<[")

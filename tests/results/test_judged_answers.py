"""A test's result grows by problems; an interrupted run's answers count once their problem comes again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.judged_answers import (
    JudgedAnswers,
    prediction,
    read_unfinished,
    unfinished_header,
    unfinished_line,
)
from flowdpo_pl.results.predictions import Prediction
from flowdpo_pl.types import Problem
from tests.play.test_main_chains import PROBLEMS, chains

MADE_BY: dict[str, Any] = {"seed": 7}


def written(path: Path, *problems: list[Prediction], made_by: dict[str, Any] = MADE_BY) -> Path:
    lines = [unfinished_header(made_by), *map(unfinished_line, problems)]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def answers(name: str, samples: int = 2) -> list[Prediction]:
    return [
        Prediction(name, f"{name}?", "1", "é 1", n == 0, n, labels={"level": "2"}) for n in range(samples)
    ]


def problem(name: str) -> Problem:
    return Problem(name, f"{name}?", "1", labels=(("level", "2"),))


def test_what_was_answered_is_read_back(tmp_path: Path) -> None:
    path = written(tmp_path / "u.jsonl", answers("a"), answers("b"))
    assert read_unfinished(path, MADE_BY) == {"a": answers("a"), "b": answers("b")}
    (tmp_path / "empty.jsonl").touch()
    assert read_unfinished(tmp_path / "empty.jsonl", MADE_BY) == {}
    with pytest.raises(UserError, match=r"u\.jsonl was made otherwise: seed was 7 and is 8"):
        read_unfinished(path, {"seed": 8})


@pytest.mark.parametrize("header", ['"no header"', '{"made_by": 1}', '["made_by"]', "{"])
def test_a_foreign_header_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "u.jsonl"
    path.write_text(f"{header}\n")
    with pytest.raises(UserError, match=r"u\.jsonl, line 1 is not from an unfinished test"):
        read_unfinished(path, MADE_BY)


@pytest.mark.parametrize("line", ["[]", '["x"]', '[{"text": "x"}]', "{}"])
def test_a_foreign_line_is_refused(tmp_path: Path, line: str) -> None:
    path = written(tmp_path / "u.jsonl")
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(UserError, match=r"u\.jsonl, line 2 is not from an unfinished test"):
        read_unfinished(path, MADE_BY)


@pytest.mark.parametrize("change", [{"question": "c?"}, {"gold": "2"}, {"labels": ()}])
def test_an_earlier_answer_counts_for_just_that_problem(tmp_path: Path, change: dict[str, Any]) -> None:
    judged = JudgedAnswers(samples=2)
    judged.resume_from(written(tmp_path / "u.jsonl", answers("a")), MADE_BY)
    assert judged.earlier(problem("a")) == answers("a")
    assert judged.earlier(replace(problem("a"), **change)) is None
    assert judged.earlier(problem("b")) is None and judged.problems == 0


def test_a_step_answers_what_was_not_answered_before(tmp_path: Path) -> None:
    players = chains()
    whole = JudgedAnswers(samples=2)
    assert whole.step(PROBLEMS, players) == [problem.id for problem in PROBLEMS]
    resumed = JudgedAnswers(samples=2)
    done = [whole.of(problem.id) for problem in PROBLEMS[:3]]
    resumed.resume_from(written(tmp_path / "u.jsonl", *done), MADE_BY)
    assert resumed.step(PROBLEMS, players) == [PROBLEMS[3].id]
    assert resumed.predictions == whole.predictions
    assert str(resumed.summary()) == str(whole.summary())  # as text: an unknown rate is nan
    assert whole.seconds > 0 and whole.generated_tokens == sum(row.tokens for row in whole.predictions)


def test_a_prediction_says_what_its_chain_did() -> None:
    players = chains()
    for problem, trees in zip(PROBLEMS, players.play(PROBLEMS, range(2)).trees, strict=True):
        for sample, tree in enumerate(trees):
            row, moves = prediction(tree, sample, players), tree.main.moves
            assert (row.problem_id, row.sample, row.text) == (problem.id, sample, tree.main.answer)
            assert row.chunks == sum(move.option is None for move in moves)
            assert len(row.chooser_questions) == sum(move.option is not None for move in moves)
            assert [finished for _, finished in row.chooser_questions[:-1]] == [False] * (
                len(row.chooser_questions) - 1
            )
            assert not (row.cut and moves[-1].option is not None)


def test_measured_is_what_the_summary_says() -> None:
    judged = JudgedAnswers(samples=2)
    judged.add([answers("a"), answers("b")])
    measured, summary = judged.measured(), judged.summary()
    assert measured.pop("majority_accuracy") == summary["majority"]["accuracy"]
    rates = ("judging_error_rate", "timeout_rate")
    assert measured == {name: summary[name] for name in ("accuracy", "low", "high", *rates)}
    assert summary["chooser"] == {} and summary["by_label"]["level"]["2"]["problems"] == 2

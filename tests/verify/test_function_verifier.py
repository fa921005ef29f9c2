"""A function judges alike in a worker, in this process, and as a class.

Also tests `verify.function_worker`: what goes to a worker and comes back.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Problem, Verdict
from flowdpo_pl.verify.counts import VerifierCounts
from flowdpo_pl.verify.function_verifier import FunctionVerifier
from flowdpo_pl.verify.function_worker import question_of, reply
from flowdpo_pl.verify.named_function import load_function
from flowdpo_pl.verify.verifier import Verifier
from tests import judges

PROBLEM = Problem("p", "q?", "4", "seed", (("level", "2"),), (("scores", {"4": 0.5, "é": 1}), ("n", None)))


@pytest.fixture(scope="module")
def anything() -> Iterator[FunctionVerifier]:
    with FunctionVerifier("tests.judges.anything") as verifier:
        yield verifier


@pytest.mark.parametrize("said", judges.VALUES)
def test_a_worker_says_what_this_process_says(anything: FunctionVerifier, said: str) -> None:
    here = FunctionVerifier("tests.judges.anything", in_process=True)
    assert anything.judge(said, PROBLEM) == here.judge(said, PROBLEM)


def test_what_the_values_mean(anything: FunctionVerifier) -> None:
    found = {said: anything.judge(said, PROBLEM) for said in judges.VALUES}
    scores = {said: (verdict.correct, verdict.score) for said, verdict in found.items() if not verdict.error}
    assert scores == {
        "true": (True, 1.0),
        "one": (True, 1.0),
        "false": (False, 0.0),
        "zero": (False, 0.0),
        "half": (False, 0.5),
        "verdict": (True, 0.75),
    }
    errors = {said: verdict.error or "" for said, verdict in found.items() if verdict.error}
    assert errors.pop("error") == "no unit"
    assert all("tests.judges.anything returned" in error for error in errors.values())
    assert "None" in errors["none"] and "1.5" in errors["too much"] and "nan" in errors["nan"]


def test_texts_have_the_same_hash_in_every_worker() -> None:
    scores = set()
    for _ in range(2):
        with FunctionVerifier("tests.judges.hashed") as verifier:
            scores.add(verifier.judge("a text", PROBLEM).score)
    assert len(scores) == 1


@pytest.mark.parametrize("in_process", [True, False])
def test_what_a_function_raises_is_an_error(in_process: bool) -> None:
    told = {"raises": "ValueError: no 4", "leaves": "SystemExit: 3", "bad_score": "score is 2.0"}
    for name, error in told.items():
        with FunctionVerifier(f"tests.judges.{name}", in_process=in_process) as verifier:
            verdict = verifier.judge("4", PROBLEM)
        assert verdict.error and error in verdict.error and f"tests.judges.{name} raised" in verdict.error
        assert verifier.counts == VerifierCounts(judged=1, fast=int(in_process), errors=1)


class Same(Verifier):
    """`judges.same` as a class."""

    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        done: Future[Verdict] = Future()
        done.set_result(Verdict(prediction == problem.gold, prediction))
        return done


@pytest.mark.parametrize("function", ["same", "same_problem", "annotated"])
def test_a_function_is_a_class(function: str) -> None:
    with FunctionVerifier(f"tests.judges.{function}") as verifier:
        for prediction in ("4", "5"):
            assert verifier.judge(prediction, PROBLEM) == Same().judge(prediction, PROBLEM)


def test_a_function_of_the_prediction_alone() -> None:
    verifier = FunctionVerifier("tests.judges.long_enough", in_process=True)
    assert verifier.judge("long", PROBLEM).correct and not verifier.judge("no", PROBLEM).correct


@pytest.mark.parametrize("in_process", [True, False])
def test_the_whole_problem_is_passed(in_process: bool) -> None:
    with FunctionVerifier("tests.judges.any_of_column", in_process=in_process) as verifier:
        assert [verifier.judge(text, PROBLEM).score for text in ("4", "é", "5")] == [0.5, 1.0, 0.0]
        verdict = verifier.judge("4", Problem("p2", "q", "4"))
    assert verdict.error and "problem p2 has no column 'scores': name it in `keep`" in verdict.error


def test_a_problem_comes_whole_to_the_worker() -> None:
    seen: list[Problem] = []
    function = load_function("tests.judges.same_problem")
    object.__setattr__(function, "call", lambda prediction, problem: seen.append(problem) or True)
    assert reply(function, json.loads(json.dumps(question_of("x", PROBLEM))))["correct"]
    assert seen == [PROBLEM]


@pytest.mark.parametrize("in_process", [True, False])
def test_further_arguments_are_passed_by_name(in_process: bool) -> None:
    with FunctionVerifier("tests.judges.shifted", {"by": 1}, in_process=in_process) as verifier:
        assert verifier.judge("5", PROBLEM).correct and not verifier.judge("4", PROBLEM).correct


def test_a_worker_is_a_process_of_its_own() -> None:
    with FunctionVerifier("tests.judges.process") as verifier:
        assert verifier.judge("", PROBLEM).extracted != str(os.getpid())
    here = FunctionVerifier("tests.judges.process", in_process=True)
    assert here.judge("", PROBLEM).extracted == str(os.getpid())


@pytest.mark.parametrize(
    ("function", "error"),
    [("endless", "timeout"), ("greedy", "MemoryError"), ("dies", "the worker died (exit status 7)")],
)
def test_what_takes_too_much_is_an_error_and_the_next_answer_is_judged(function: str, error: str) -> None:
    with FunctionVerifier(f"tests.judges.{function}", timeout=2.0) as verifier:
        verdict = verifier.judge(function, PROBLEM)
        assert verdict.error and error in verdict.error and not verdict.correct
        assert verifier.judge("modest", PROBLEM) == Verdict(True, "modest")
    assert verifier.counts.timeouts == (error == "timeout")


def test_a_prediction_is_never_executed(tmp_path: Path) -> None:
    code = f"__import__('os').mkdir({str(tmp_path / 'made')!r})"
    with FunctionVerifier("tests.judges.same") as verifier:
        assert not verifier.judge(code, PROBLEM).correct
    assert not (tmp_path / "made").exists()


def test_a_file_in_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "judge_of_this_test.py").write_text("def yes(prediction, gold):\n    return True\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(tmp_path)])
    with FunctionVerifier("judge_of_this_test.yes") as verifier:
        assert verifier.judge("4", PROBLEM).correct


def test_a_worker_without_room_for_its_imports_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "taken = bytearray(2**27)\n\ndef yes(prediction, gold):\n    return True\n"
    (tmp_path / "large_judge.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with (
        FunctionVerifier("large_judge.yes", memory_gb=0.1) as verifier,
        pytest.raises(UserError, match=r"large_judge\.yes needs no more than memory_gb"),
    ):
        verifier.judge("4", PROBLEM)


def test_identity_is_the_function_and_what_can_change_a_verdict() -> None:
    one = FunctionVerifier("tests.judges.same")
    assert one.identity() == FunctionVerifier("tests.judges.same", workers=2, memory_gb=2.0).identity()
    others = [
        FunctionVerifier("tests.judges.annotated"),
        FunctionVerifier("tests.judges.shifted", {"by": 1}),
        FunctionVerifier("tests.judges.shifted", {"by": 2}),
        FunctionVerifier("tests.judges.same", timeout=1.0),
        FunctionVerifier("tests.judges.same", in_process=True),
    ]
    assert len({str(verifier.identity()) for verifier in [one, *others]}) == 6


def test_copies_start_anew() -> None:
    verifier = FunctionVerifier("tests.judges.shifted", {"by": 1}, in_process=True)
    verifier.judge("5", PROBLEM)
    copy = pickle.loads(pickle.dumps(verifier))
    assert copy.identity() == verifier.identity() and copy.counts == VerifierCounts()
    assert copy.judge("5", PROBLEM).correct


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"timeout": 0}, "timeout is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"memory_gb": -1}, "memory_gb is -1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], told: str) -> None:
    with pytest.raises(UserError, match=told):
        FunctionVerifier("tests.judges.same", **settings)  # type: ignore[arg-type]


def test_arguments_that_json_does_not_know_are_refused() -> None:
    with pytest.raises(UserError, match="arguments hold what JSON does not know"):
        FunctionVerifier("tests.judges.shifted", {"by": object()})

"""The interface: what a class of one's own need not say. Also tests `verify.counts` and `verify.chosen`."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

import flowdpo_pl
from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Problem, Verdict
from flowdpo_pl.verify.chosen import chosen_verifier
from flowdpo_pl.verify.counts import Tally, VerifierCounts
from flowdpo_pl.verify.function_verifier import FunctionVerifier
from flowdpo_pl.verify.math_verifier import MathVerifier
from flowdpo_pl.verify.verifier import Verifier

PROBLEM = Problem("p", "q", "4")


class Shortest(Verifier):
    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        done: Future[Verdict] = Future()
        done.set_result(Verdict(prediction == problem.gold))
        return done


def test_submit_is_enough() -> None:
    with Shortest() as verifier:
        assert verifier.judge("4", PROBLEM).correct and not verifier.judge("5", PROBLEM).correct
        assert verifier.marked("so the answer is 4.") == "4" and verifier.marked("so 4") is None
        assert verifier.reads_gold("see the sheet") and not verifier.reads_gold(" ")
    assert verifier.identity() == {"class": "Shortest"} and verifier.counts == VerifierCounts()


def test_without_submit_it_is_no_verifier() -> None:
    with pytest.raises(TypeError):
        Verifier()  # type: ignore[abstract]


def test_math_judges_by_the_problem_s_gold_answer() -> None:
    with MathVerifier() as verifier:
        assert verifier.judge("8/2", PROBLEM) == verifier("8/2", "4")
        assert verifier.reads_gold("1/2") and not verifier.reads_gold("see the sheet")
        assert not verifier.reads_gold('["5", "6"]'), "several golds are for those that take them"


def test_verdicts_are_counted_by_kind() -> None:
    tally = Tally()
    for error in (None, "timeout", "ValueError"):
        tally.add(Verdict(False, error=error), fast=error is None)
    assert tally.counts == VerifierCounts(judged=3, fast=1, timeouts=1, errors=1)


def test_a_config_gives_a_verifier_a_function_or_nothing() -> None:
    given = Shortest()
    assert chosen_verifier("model.verifier", given) is given
    assert type(chosen_verifier("model.verifier", None)) is MathVerifier
    by_name = chosen_verifier("model.verifier", "tests.judges.same")
    assert by_name.identity() == FunctionVerifier("tests.judges.same").identity()
    with pytest.raises(UserError, match=r"^verifier: function is 'tests.judges.sme', which is not there"):
        chosen_verifier("verifier", "tests.judges.sme")


def test_what_one_needs_is_exported() -> None:
    assert (flowdpo_pl.Verifier, flowdpo_pl.Verdict, flowdpo_pl.Problem) == (Verifier, Verdict, Problem)

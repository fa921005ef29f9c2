"""Verifiers are tried on golds: those that tell right from wrong pass, in the mark that they want."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future

import pytest

from flowdpo_pl.types import Problem, Verdict
from flowdpo_pl.verify.function_verifier import FunctionVerifier
from flowdpo_pl.verify.math_verifier import MarkedAnswerVerifier, MathVerifier
from flowdpo_pl.verify.probe import MARKS, probe_verifier
from flowdpo_pl.verify.verifier import Verifier


class Says(Verifier):
    """What a function says."""

    def __init__(self, verdict: Callable[[str, str], Verdict]) -> None:
        self._verdict = verdict

    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        done: Future[Verdict] = Future()
        done.set_result(self._verdict(prediction, problem.gold))
        return done


def problems(*golds: str) -> list[Problem]:
    return [Problem(gold, "q", gold) for gold in golds]


NUMBERS = problems("12", "3/4", "1,000", "-5", "0.5")
WORDS = problems("Paris", "Marie Curie", '["east", "the East"]')


def test_ours_pass() -> None:
    with MathVerifier() as any_number, MarkedAnswerVerifier() as marked:
        for verifier in (any_number, marked):
            probed = probe_verifier(verifier, NUMBERS)
            assert (probed.mark, probed.not_right, probed.right_for_another) == (MARKS[0], (), ())
            assert probed.wants_mark == (verifier is marked) and not probed.errors


@pytest.mark.parametrize(
    ("function", "asked"),
    [
        ("exact", NUMBERS),
        ("exact", WORDS),
        ("f1", WORDS),
        ("numeric", NUMBERS),
        ("multiple_choice", problems("A", "(B)")),
    ],
)
def test_the_functions_that_ship_pass(function: str, asked: Sequence[Problem]) -> None:
    probed = probe_verifier(FunctionVerifier(f"flowdpo_pl.{function}", in_process=True), asked)
    assert probed.mark and not (probed.not_right or probed.right_for_another or probed.errors)


def test_one_that_wants_a_box_is_asked_with_a_box() -> None:
    boxed = Says(lambda text, gold: Verdict(text == f"\\boxed{{{gold}}}"))
    probed = probe_verifier(boxed, NUMBERS)
    assert probed.mark == r"\boxed{{{}}}" and probed.wants_mark and not probed.not_right


@pytest.mark.parametrize("asked", [NUMBERS, WORDS])
def test_one_that_always_says_the_same_is_found_out(asked: list[Problem]) -> None:
    always = probe_verifier(Says(lambda text, gold: Verdict(True)), asked)
    assert len(always.right_for_another) == len(asked) and not always.wants_mark
    never = probe_verifier(Says(lambda text, gold: Verdict(False)), asked)
    assert never.mark == "" and len(never.not_right) == len(asked) and not never.right_for_another


def test_what_cannot_be_judged_is_told() -> None:
    broken = probe_verifier(Says(lambda text, gold: Verdict(False, error=f"no {gold}")), NUMBERS[:2])
    assert broken.errors == ("no 12", "no 3/4")


def test_equal_golds_and_formulas_are_no_other_answer() -> None:
    always = Says(lambda text, gold: Verdict(True))
    assert not probe_verifier(always, problems("0.5", "1/2", "0.50")).right_for_another
    assert not probe_verifier(always, problems("x + 1", "1 + x")).right_for_another
    assert not probe_verifier(always, problems("Paris", "paris", '["PARIS", "x"]')).right_for_another

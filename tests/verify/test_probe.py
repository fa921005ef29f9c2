"""Verifiers are tried on golds: those that tell right from wrong pass, in the mark that they want."""

from __future__ import annotations

from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.probe import MARKS, probe_verifier
from flowdpo_pl.verify.verifier import MarkedAnswerVerifier, MathVerifier

GOLDS = ["12", "3/4", "1,000", "-5", "0.5"]


def test_ours_pass() -> None:
    with MathVerifier() as any_number, MarkedAnswerVerifier() as marked:
        for verifier in (any_number, marked):
            probed = probe_verifier(verifier, GOLDS)
            assert (probed.mark, probed.not_right, probed.right_for_another) == (MARKS[0], (), ())
            assert probed.wants_mark == (verifier is marked)


def test_one_that_wants_a_box_is_asked_with_a_box() -> None:
    def boxed(text: str, gold: str) -> Verdict:
        return Verdict(text == f"\\boxed{{{gold}}}")

    probed = probe_verifier(boxed, GOLDS)
    assert probed.mark == r"\boxed{{{}}}" and probed.wants_mark and not probed.not_right


def test_one_that_always_says_the_same_is_found_out() -> None:
    always = probe_verifier(lambda text, gold: Verdict(True), GOLDS)
    assert len(always.right_for_another) == len(GOLDS) and not always.wants_mark
    never = probe_verifier(lambda text, gold: Verdict(False), GOLDS)
    assert never.mark == "" and never.not_right == tuple(GOLDS) and not never.right_for_another


def test_equal_golds_are_no_other_answer() -> None:
    with MathVerifier() as verifier:
        assert not probe_verifier(verifier, ["0.5", "1/2", "0.50"]).right_for_another

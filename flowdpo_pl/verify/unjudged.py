"""Reads answers and judges none: where nobody knows the right one."""

from __future__ import annotations

from concurrent.futures import Future

from flowdpo_pl.types import Problem, Verdict
from flowdpo_pl.verify.verifier import Verifier


class Unjudged(Verifier):
    """Every answer has what another verifier reads in it, and counts as not correct."""

    def __init__(self, reader: Verifier) -> None:
        self._reader = reader

    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        done: Future[Verdict] = Future()
        done.set_result(Verdict(False, self._reader.read(prediction)))
        return done

    def read(self, prediction: str) -> str | None:
        return self._reader.read(prediction)

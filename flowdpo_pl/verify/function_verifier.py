"""Judges by a plain function that a config names."""

from __future__ import annotations

import json
import os
import sys
import weakref
from concurrent.futures import Future
from typing import Any

from flowdpo_pl.errors import COUNT, POSITIVE, UserError, require_within
from flowdpo_pl.types import Problem, Verdict
from flowdpo_pl.verify.counts import Tally, VerifierCounts
from flowdpo_pl.verify.function_worker import question_of
from flowdpo_pl.verify.named_function import load_function
from flowdpo_pl.verify.pool import WorkerLimits, WorkerPool, WorkerProgram
from flowdpo_pl.verify.verifier import Verifier


class FunctionVerifier(Verifier):
    """Judges by a function of `(prediction, gold)`, of `(prediction, problem)`, or of the prediction alone.

    It returns true or false, a score from 0 to 1, or a `flowdpo_pl.Verdict`; what it raises, or anything else
    that it returns, is an error of that answer. It runs in worker processes that are killed and replaced when
    an answer takes too long; model output is its argument, never executed. May be called from any thread;
    copies and pickles start anew.

    Args:
        function: its dotted name, such as my_file.exact_match; files in the working directory are found.
        arguments: further arguments of the function, by name.
        in_process: call it in the run's own process, one answer after another, without limits of time and
            memory.
        workers: worker processes.
        timeout: seconds that one answer may take; then its worker is killed and the error is `timeout`.
        memory_gb: address space of a worker in GiB, what the function imports included.

    Raises:
        UserError: the function can't be found or imported, or takes something else.
    """

    def __init__(
        self,
        function: str,
        arguments: dict[str, Any] | None = None,
        in_process: bool = False,
        workers: int = 1,
        timeout: float = 5.0,
        memory_gb: float = 1.0,
    ) -> None:
        require_within(COUNT, {"workers": workers})
        require_within(POSITIVE, {"timeout": timeout, "memory_gb": memory_gb})
        self._settings = (function, dict(arguments or {}), in_process, workers, timeout, memory_gb)
        self._function = load_function(function, arguments)
        self._tally = Tally()
        self._pool: WorkerPool | None = None
        if not in_process:
            program = _program(function, dict(arguments or {}))
            self._pool = WorkerPool(program, workers, WorkerLimits(timeout, memory_gb), self._tally.add)
            # Runs when this object goes or the interpreter exits, whichever comes first.
            weakref.finalize(self, self._pool.close)

    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        if self._pool is not None:
            return self._pool.submit(question_of(prediction, problem))
        verdict = self._function(prediction, problem)
        self._tally.add(verdict, fast=True)
        done: Future[Verdict] = Future()
        done.set_result(verdict)
        return done

    def identity(self) -> dict[str, Any]:
        """The function by its name: that its code has changed is not seen."""
        function, arguments, in_process, _, timeout, _ = self._settings
        limit = None if in_process else timeout
        return {"class": type(self).__name__, "function": function, "arguments": arguments, "timeout": limit}

    @property
    def counts(self) -> VerifierCounts:
        return self._tally.counts

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()

    def __reduce__(self) -> tuple[type[FunctionVerifier], tuple[Any, ...]]:
        return type(self), self._settings


def _program(function: str, arguments: dict[str, Any]) -> WorkerProgram:
    try:
        told = json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"arguments hold what JSON does not know ({error}): give texts and numbers."
        ) from error
    return WorkerProgram(
        ("-m", "flowdpo_pl.verify.function_worker", function, told),
        f"check that {function} needs no more than memory_gb to be imported",
        # An empty entry is the working directory.
        path=tuple(dict.fromkeys(place or os.getcwd() for place in sys.path)),
    )

"""Says whether an answer is right: plain cases at once, the rest by math-verify in worker processes."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, overload

from flowdpo_pl.errors import COUNT, POSITIVE, require_within
from flowdpo_pl.types import Problem, Verdict
from flowdpo_pl.verify import worker
from flowdpo_pl.verify.answers import Answer, quick_verdict, read_answer
from flowdpo_pl.verify.counts import Tally, VerifierCounts
from flowdpo_pl.verify.markers import extract_marked
from flowdpo_pl.verify.pool import WorkerLimits, WorkerPool, WorkerProgram
from flowdpo_pl.verify.readable import is_readable_gold
from flowdpo_pl.verify.several_golds import golds_of
from flowdpo_pl.verify.verifier import Verifier

_BATCH = object()
_ANY_GOLD = "0"
"""What is read in an answer does not depend on the right one."""
MATH_WORKER = WorkerProgram(
    (worker.__file__,), "check that math-verify is installed and that memory_gb is enough", worker.CLOCK
)


class MathVerifier(Verifier):
    """Compares predictions with gold answers. May be called from any thread; copies and pickles start anew.

    Workers start with the first answer that needs one. Model output is parsed, never executed.

    Args:
        workers: Worker processes (each some 60 MB).
        timeout: Seconds of the processor's time that one answer may take (ten times as many on the clock);
            then its worker ends and the error is `timeout`. So no verdict hangs on how busy the machine is.
        memory_gb: Address space of a worker in GiB, so that `9**9**9**9` can't take the machine's.
    """

    def __init__(self, workers: int = 1, timeout: float = 5.0, memory_gb: float = 1.0) -> None:
        require_within(COUNT, {"workers": workers})
        require_within(POSITIVE, {"timeout": timeout, "memory_gb": memory_gb})
        self._arguments = (workers, timeout, memory_gb)
        self._tally = Tally()
        limits = WorkerLimits(timeout, memory_gb)
        self._pool = WorkerPool(MATH_WORKER, workers, limits, self._tally.add)
        # Runs when this object goes or the interpreter exits, whichever comes first.
        weakref.finalize(self, self._pool.close)

    def identity(self) -> dict[str, Any]:
        """What a verdict depends on, plain values: not how many workers there are, nor how large.

        A subclass with settings of its own that can change a verdict adds them.
        """
        return {"class": type(self).__name__, "timeout": self._arguments[1]}

    @property
    def counts(self) -> VerifierCounts:
        """Totals since construction."""
        return self._tally.counts

    def reads_gold(self, gold: str) -> bool:
        return golds_of(gold) == (gold,) and is_readable_gold(gold)

    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        return self.compare(prediction, problem.gold)

    def read(self, prediction: str) -> str | None:
        """As math-verify reads it, which is asked where nothing is marked."""
        return self.compare(prediction, _ANY_GOLD).result().extracted

    def compare(self, prediction: object, gold: object) -> Future[Verdict]:
        """Starts one judgement and returns at once.

        Args:
            prediction: A whole solution or a bare answer; its `str` if it is no string, None is empty.
            gold: The right answer: bare, LaTeX, or a text with a marked answer.

        Returns:
            A future verdict. `close` cancels it; it fails with UserError if no worker can be started.
        """
        answer, right = read_answer(_as_text(prediction)), read_answer(_as_text(gold))
        if not right.readings:
            reason = "may be more than one answer" if right.doubtful else "is empty"
            return self._at_once(Verdict(False, answer.text or None, error=f"the gold answer {reason}"))
        certain = quick_verdict(answer, right)
        if certain is None:
            return self._pool.submit(question_of(answer, right))
        return self._at_once(Verdict(certain, answer.text or None), doubtful=answer.doubtful and not certain)

    def _at_once(self, verdict: Verdict, doubtful: bool = False) -> Future[Verdict]:
        self._tally.add(verdict, fast=True, doubtful=doubtful)
        done: Future[Verdict] = Future()
        done.set_result(verdict)
        return done

    @overload
    def __call__(self, prediction: object, gold: object) -> Verdict: ...
    @overload
    def __call__(self, prediction: Iterable[tuple[object, object]]) -> list[Verdict]: ...

    def __call__(self, prediction: object, gold: object = _BATCH) -> Verdict | list[Verdict]:
        """The verdict of `(prediction, gold)`, or of each pair of a batch, in its order. See `compare`."""
        if gold is not _BATCH:
            return self.compare(prediction, gold).result()
        if isinstance(prediction, str) or not isinstance(prediction, Iterable):
            raise TypeError("MathVerifier takes (prediction, gold) or one iterable of such pairs")
        futures = [self.compare(*pair) for pair in prediction]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Ends the worker processes and cancels what waits for one. A later call starts new ones."""
        self._pool.close()

    def __reduce__(self) -> tuple[type[MathVerifier], tuple[int, float, float]]:
        return type(self), self._arguments


class MarkedAnswerVerifier(MathVerifier):
    """A MathVerifier for whom an answer without an explicit marker is no answer, hence not correct.

    math-verify falls back on a text's last number or expression. On a draft that breaks off in the middle
    ("They cost 7 * 4") that is a lucky hit, and a flow that is rewarded for it learns to stop early.
    """

    def compare(self, prediction: object, gold: object) -> Future[Verdict]:
        if extract_marked(_as_text(prediction)) is None:
            return self._at_once(Verdict(False))
        return super().compare(prediction, gold)


def question_of(prediction: Answer, gold: Answer) -> dict[str, Any]:
    """What math-verify's worker is asked (`worker.judge`)."""
    return {
        "gold": gold.readings,
        "gold_ambiguous": gold.ambiguous,
        "answer": prediction.readings,
        "answer_ambiguous": prediction.ambiguous,
    }


def _as_text(value: object) -> str:
    return "" if value is None else str(value)

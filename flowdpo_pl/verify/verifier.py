"""Says whether an answer is right: plain cases at once, the rest by math-verify in worker processes."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, overload

from flowdpo_pl.errors import COUNT, POSITIVE, UserError, require_within
from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.answers import quick_verdict, read_answer
from flowdpo_pl.verify.markers import extract_marked
from flowdpo_pl.verify.pool import WorkerLimits, WorkerPool
from flowdpo_pl.verify.readable import is_readable

_BATCH = object()


@dataclass(frozen=True, slots=True)
class VerifierCounts:
    """What a verifier has done so far."""

    judged: int = 0
    """All verdicts, those below included."""
    fast: int = 0
    """Decided in this process, without math-verify."""
    timeouts: int = 0
    errors: int = 0
    """Verdicts with an `error` other than a timeout."""
    doubtful: int = 0
    """Wrong because the prediction may be more than one answer, or denies it: `between 5 and 6`, `not 5`."""


class _Tally:
    """Counts verdicts from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts = VerifierCounts()

    def add(self, verdict: Verdict, fast: bool = False, doubtful: bool = False) -> None:
        timeout = verdict.error == "timeout"
        error = verdict.error is not None and not timeout
        with self._lock:
            old = self.counts
            self.counts = replace(
                old,
                judged=old.judged + 1,
                fast=old.fast + fast,
                timeouts=old.timeouts + timeout,
                errors=old.errors + error,
                doubtful=old.doubtful + doubtful,
            )


class MathVerifier:
    """Compares predictions with gold answers. May be called from any thread; copies and pickles start anew.

    Workers start with the first answer that needs one. Model output is parsed, never executed.

    Args:
        workers: Worker processes (each some 60 MB).
        timeout: Seconds that one answer may take; then its worker is killed and the error is `timeout`.
        memory_gb: Address space of a worker in GiB, so that `9**9**9**9` can't take the machine's.
    """

    def __init__(self, workers: int = 1, timeout: float = 5.0, memory_gb: float = 1.0) -> None:
        require_within(COUNT, {"workers": workers})
        require_within(POSITIVE, {"timeout": timeout, "memory_gb": memory_gb})
        self._arguments = (workers, timeout, memory_gb)
        self._tally = _Tally()
        self._pool = WorkerPool(workers, WorkerLimits(timeout, memory_gb), self._tally.add)
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

    def submit(self, prediction: object, gold: object) -> Future[Verdict]:
        """Starts one judgement and returns at once, so that it overlaps generation.

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
            return self._pool.submit(answer, right)
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
        """The verdict of `(prediction, gold)`, or of each pair of a batch, in its order. See `submit`."""
        if gold is not _BATCH:
            return self.submit(prediction, gold).result()
        if isinstance(prediction, str) or not isinstance(prediction, Iterable):
            raise TypeError("MathVerifier takes (prediction, gold) or one iterable of such pairs")
        futures = [self.submit(*pair) for pair in prediction]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Ends the worker processes and cancels what waits for one. A later call starts new ones."""
        self._pool.close()

    def __enter__(self) -> MathVerifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[MathVerifier], tuple[int, float, float]]:
        return type(self), self._arguments


class MarkedAnswerVerifier(MathVerifier):
    """A MathVerifier for whom an answer without an explicit marker is no answer, hence not correct.

    math-verify falls back on a text's last number or expression. On a draft that breaks off in the middle
    ("They cost 7 * 4") that is a lucky hit, and a flow that is rewarded for it learns to stop early.
    """

    def submit(self, prediction: object, gold: object) -> Future[Verdict]:
        if extract_marked(_as_text(prediction)) is None:
            return self._at_once(Verdict(False))
        return super().submit(prediction, gold)


def check_gold(gold: object) -> None:
    r"""Raises UserError if no prediction could ever be compared with `gold`.

    Readable are numbers, quantities, formulas, choices and single words; not 'n/a', 'see the solution sheet',
    or prose with several numbers. Cheap rules decide, in microseconds for plain numbers and in linear time
    for any other text; computer algebra parses nothing. A formula that is sound to the eye is let through: if
    math-verify can't read it (`\frac{1}{0}`) or takes for ever (`9**9**9**9`), its verdicts have an `error`.
    """
    if not is_readable(read_answer(_as_text(gold))):
        raise UserError(
            f"The gold answer {_shortened(gold)} is unreadable: give a number, LaTeX, or a text that marks "
            r"its answer by \boxed{...}, '#### ...' or 'The answer is ...'."
        )


def _shortened(gold: object) -> str:
    return shown if len(shown := repr(gold)) <= 200 else shown[:200] + "…"


def _as_text(value: object) -> str:
    return "" if value is None else str(value)

"""What judges answers: the interface that everything else asks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from flowdpo_pl.made_with import MadeWith
from flowdpo_pl.types import Problem, Verdict
from flowdpo_pl.verify.answers import read_answer
from flowdpo_pl.verify.counts import VerifierCounts
from flowdpo_pl.verify.markers import extract_marked


class Verifier(MadeWith, ABC):
    """Judges answers. A subclass needs `submit`; where a function will do, see `FunctionVerifier`."""

    @abstractmethod
    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]:
        """Starts one judgement and returns, so that it overlaps generation.

        Args:
            prediction: the whole answer as it was written.
            problem: what was asked, with the gold answer and the kept columns.

        Returns:
            A future verdict. Whatever keeps it from being one is its `error`, never "wrong" or "right".
        """

    def judge(self, prediction: str, problem: Problem) -> Verdict:
        """The verdict of `submit`, waited for."""
        return self.submit(prediction, problem).result()

    def read(self, prediction: str) -> str | None:
        """The answer that is read in a text, or None, without a right one to compare it with.

        What a verdict has `extracted`, unless `submit` finds answers in a way of its own.
        """
        return read_answer(prediction).text or None

    def marked(self, text: str) -> str | None:
        """The answer that a text marks as its own, or None: whether a partial answer has come to a result."""
        return extract_marked(text)

    def reads_gold(self, gold: str) -> bool:
        """Whether an answer could be compared with this gold answer; a row without one is no problem."""
        return bool(gold.strip())

    def identity(self) -> dict[str, Any]:
        """What a verdict depends on, plain values; a run is not resumed under another one."""
        return {"class": type(self).__name__}

    @property
    def counts(self) -> VerifierCounts:
        """Totals since construction; zeros of a verifier that does not count."""
        return VerifierCounts()

    def close(self) -> None:
        """Ends what it has started and cancels what waits. A later call starts anew."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

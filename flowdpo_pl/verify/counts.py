"""What a verifier has done so far, in numbers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from flowdpo_pl.types import Verdict


@dataclass(frozen=True, slots=True)
class VerifierCounts:
    """What a verifier has done so far."""

    judged: int = 0
    """All verdicts, those below included."""
    fast: int = 0
    """Decided in this process, without a worker."""
    timeouts: int = 0
    errors: int = 0
    """Verdicts with an `error` other than a timeout."""
    doubtful: int = 0
    """Wrong because the prediction may be more than one answer, or denies it: `between 5 and 6`, `not 5`."""


class Tally:
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

"""The result of `predict` so far: a trace a problem, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowdpo_pl.results.provenance import require_same_provenance
from flowdpo_pl.results.traces import Trace, read_traces


class CollectedTraces:
    """Grows by problems; what an interrupted run has collected counts from the start.

    Args:
        max_generated_tokens: what may be spent, that of the interrupted run included; None: no bound.
    """

    def __init__(self, max_generated_tokens: int | None = None) -> None:
        self._max_generated_tokens = max_generated_tokens
        self.traces: dict[str, Trace] = {}
        """By problem."""
        self.resumed = 0
        """Traces that were there before this run."""

    @property
    def problems(self) -> int:
        return len(self.traces)

    @property
    def accuracy(self) -> float:
        """Share of right traces; nan without any."""
        return self._right / len(self.traces) if self.traces else float("nan")

    @property
    def generated_tokens(self) -> int:
        """By all attempts, those of the interrupted run included."""
        return sum(trace.generated_tokens for trace in self.traces.values())

    @property
    def out_of_tokens(self) -> bool:
        limit = self._max_generated_tokens
        return limit is not None and self.generated_tokens >= limit

    def resume_from(self, path: Path, made_by: dict[str, Any]) -> None:
        """Take the traces of an earlier run as done.

        Raises:
            UserError: they were made in another way, or the file is no trace file.
        """
        traces = read_traces(path)
        for trace in traces:
            require_same_provenance(path, trace.made_by, made_by)
        self.traces = {trace.problem_id: trace for trace in traces}
        self.resumed = len(traces)

    def add(self, traces: Iterable[Trace]) -> None:
        self.traces |= {trace.problem_id: trace for trace in traces}

    def summary(self) -> dict[str, Any]:
        """The result as plain values (docs/evaluation.md)."""
        return {
            "problems": self.problems,
            "accepted": self._right,
            "acceptance": self.accuracy if self.traces else None,
            "attempts": sum(trace.attempts for trace in self.traces.values()),
            "resumed": self.resumed,
            "out_of_tokens": self.out_of_tokens,
        }

    @property
    def _right(self) -> int:
        return sum(trace.correct for trace in self.traces.values())

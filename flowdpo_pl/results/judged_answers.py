"""The result of `test` so far: every problem's samples, and what they add up to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowdpo_pl.measure.chooser_confusion import ChooserConfusion
from flowdpo_pl.results.predictions import Prediction, accuracies, accuracies_by_label
from flowdpo_pl.results.unfinished_test import read_unfinished
from flowdpo_pl.types import Problem


class JudgedAnswers:
    """Grows by problems. An interrupted run's answers count once their problem comes again."""

    def __init__(self) -> None:
        self._samples: dict[str, list[Prediction]] = {}
        self._earlier: dict[str, list[Prediction]] = {}

    @property
    def predictions(self) -> list[Prediction]:
        """All samples of a problem in turn, problems as they came."""
        return [row for samples in self._samples.values() for row in samples]

    @property
    def problems(self) -> int:
        return len(self._samples)

    @property
    def accuracy(self) -> float:
        """Share of right samples; nan without any."""
        rows = self.predictions
        return sum(row.correct for row in rows) / len(rows) if rows else float("nan")

    @property
    def generated_tokens(self) -> int:
        return sum(row.tokens for row in self.predictions)

    def of(self, problem_id: str) -> list[Prediction]:
        """All samples of one problem."""
        return self._samples[problem_id]

    def resume_from(self, path: Path, made_by: dict[str, Any]) -> None:
        """Keep what an interrupted run has answered, for when its problems come.

        Raises:
            UserError: it answered in another way, or the file is of another form.
        """
        self._earlier = read_unfinished(path, made_by)

    def earlier(self, problem: Problem) -> list[Prediction] | None:
        """What the interrupted run answered to just this problem, or None."""
        samples = self._earlier.get(problem.id)
        if not samples:
            return None
        first, asked = samples[0], (problem.question, problem.gold, dict(problem.labels))
        return samples if (first.question, first.gold, first.labels) == asked else None

    def add(self, problems: Sequence[Sequence[Prediction]]) -> None:
        """Add problems, each as all its samples."""
        self._samples |= {samples[0].problem_id: list(samples) for samples in problems}

    def summary(self) -> dict[str, Any]:
        """The result as plain values (docs/evaluation.md)."""
        rows = self.predictions
        return {
            **accuracies(rows),
            "by_label": accuracies_by_label(rows),
            "chooser": self.chooser_statistics(),
            "cut_rate": sum(row.cut for row in rows) / len(rows) if rows else None,
            "chunks_per_answer": sum(row.chunks for row in rows) / len(rows) if rows else None,
            "judging_errors": sum(row.error is not None for row in rows),
        }

    def chooser_statistics(self) -> dict[str, float]:
        """The chooser's words against what the partial answers held; empty if it was never asked."""
        asked = [row.chooser_questions for row in self.predictions]
        if not any(asked):
            return {}
        confusion = ChooserConfusion(sync_on_compute=False)  # every rank holds all predictions already
        confusion.update(asked)
        return {name.removeprefix("chooser/"): value.item() for name, value in confusion.compute().items()}

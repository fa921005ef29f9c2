"""The run in one small file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from callbacks.screen.products import after_fit, print_products
from callbacks.screen.table import print_rows
from callbacks.summary import fit_report, validate_report
from callbacks.summary.fit_report import told
from callbacks.summary.summary_file import ending, training_facts, unknown_as_null, write_summary
from callbacks.watching.batch_values import BatchValues
from callbacks.watching.pace import Pace
from callbacks.watching.play_callback import PlayCallback
from callbacks.watching.watched_modules import PlayedModule
from flowdpo_pl.results.run_course import Finding, RunCourse
from flowdpo_pl.results.run_numbers import RunNumbers


@dataclass(frozen=True)
class Report:
    """What is told of a verb at its end."""

    summary: Callable[[RunNumbers, BatchValues, float], dict[str, Any]]
    rows: Callable[[Mapping[str, Any]], dict[str, str]]
    products: tuple[str, ...]


_REPORTS = {
    "fit": Report(fit_report.fit_summary, fit_report.fit_rows, fit_report.PRODUCTS),
    "validate": Report(
        validate_report.validate_summary, validate_report.validate_rows, validate_report.PRODUCTS
    ),
}


class RunSummary(PlayCallback):
    """Writes `summary.json` to the run folder when the run ends, also by an exception, and prints it briefly.

    Keys of both verbs: `verb`, `ended` (`finished` or the exception's name), `ended_by` (`max_problems`,
    `data`, `max_generated_tokens`, `max_time`, .., or the exception's name), `problems_seen`,
    `unreadable_gold_rate`, `judging_error_rate`, `timeout_rate`, `chooser`, `chunks_per_answer`, `seconds`
    (by phase, and `total`: wall clock between the start and the end of the stream), `generated_tokens`,
    `generated_tokens_per_second` (of play), `peak_memory_bytes`, `seed`, `versions`, `identity`, and `over`:
    what each number is over.

    `fit`: `progressive_accuracy` and `window_accuracy` each with `_low` and `_high` (`progressive_low`, ..),
    `findings`: why it may not learn, `{name, sentence, try}` each (docs/learning.md), causes first,
    `pairs` {agent: n}, `ties` {agent: {kind: n}}, `margins` {agent: mean}, and `latest`: the last batch's
    other numbers. `validate`: `accuracy`, `low`, `high`.

    Unknown numbers are null. Sums go over the whole run, across resumes.

    Args:
        look_every_n_problems: Problems between two looks at why a `fit` may not learn; the first look is
            after the first batch. What is new is logged.
    """

    files = ("summary.json",)
    writes = False  # it prints too

    def __init__(self, look_every_n_problems: int = 160) -> None:
        self._pace = Pace(look_every_n_problems, "look_every_n_problems")
        self._forget()

    def _forget(self) -> None:
        self._run = RunNumbers()
        self._course = RunCourse()
        self._peak_memory_bytes = 0.0
        self._seconds_before = 0.0
        self._started = time.monotonic()
        self._latest: dict[str, float] = {}
        self._said: set[str] = set()
        self._first = False

    def state_dict(self) -> dict[str, Any]:
        return {
            "run": self._run.state_dict(),
            "course": self._course.state_dict(),
            "peak_memory_bytes": self._peak_memory_bytes,
            "seconds": self._seconds(),
            "latest": self._latest,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._run.load_state_dict(state_dict["run"])
        self._course.load_state_dict(state_dict["course"])
        self._peak_memory_bytes = state_dict["peak_memory_bytes"]
        self._seconds_before = state_dict["seconds"]
        self._latest = dict(state_dict["latest"])

    def play_started(self, module: PlayedModule, seen: int) -> None:
        if seen == 0:  # validate loads the state of the fit that wrote its checkpoint
            self._forget()
        self._pace.start(seen)
        self._first = seen == 0
        self._started = time.monotonic()

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        self._latest = {name: float(value) for name, value in values.items()}
        self._run.add(self._latest)
        self._course.add(self._latest)
        self._peak_memory_bytes = max(self._peak_memory_bytes, self._latest.get("peak_memory_bytes", 0.0))
        first, self._first = self._first, False
        if self.verb == "fit" and (self._pace.due(module.problems_seen) or first):
            self._say_what_is_new(self._course.findings(module.problems_expected))

    def _say_what_is_new(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            if finding.name not in self._said:
                rank_zero_info(
                    f"why it may not learn ({finding.name}): {finding.sentence}. Try: {finding.advice}."
                )
        self._said = {finding.name for finding in findings}

    def play_ended(self, module: PlayedModule, stopped_by: BaseException | None) -> None:
        summary = self.summary(module, stopped_by)
        if self.keeps:
            write_summary(self.folder, summary)
        report = _REPORTS[self.verb]
        print_rows(
            f"{self.verb}: {summary['ended']}", {"ended by": summary["ended_by"], **report.rows(summary)}
        )
        if self.keeps:
            following = after_fit(self.folder, stopped_by) if self.verb == "fit" else ()
            print_products(self.folder, report.products, following)

    def summary(self, module: PlayedModule, stopped_by: BaseException | None = None) -> dict[str, Any]:
        """What `summary.json` holds."""
        ends_at = module.problems_seen if stopped_by is None else module.problems_expected
        findings = told(self._course.findings(ends_at)) if self.verb == "fit" else {}
        known: dict[str, Any] = unknown_as_null(
            {
                "verb": self.verb,
                **ending(module.ended_by, stopped_by),
                "problems_seen": module.problems_seen,
                **_REPORTS[self.verb].summary(self._run, self._latest, self._seconds()),
                **findings,
                **training_facts(module, self._peak_memory_bytes),
            }
        )
        return known

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

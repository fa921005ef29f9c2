"""The run in one small file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from callbacks.batch_values import BatchValues, pairs_by_agent, ties_by_agent, tokens_per_second
from callbacks.play_callback import PlayCallback
from callbacks.summary_file import ending, training_facts, unjudged, unknown_as_null, write_summary
from callbacks.watched_modules import PlayedModule
from flowdpo_pl.results.batch_numbers import is_summed

PHASES = ("play", "score", "update")
PRODUCTS = ("accuracy_curve.png", "accuracy_curve.csv", "adapters", "checkpoints", "trees.jsonl")


class RunSummary(PlayCallback):
    """Writes `summary.json` to the run folder when the run ends, also by an exception, and prints it briefly.

    Keys: `verb`, `ended` (`finished` or the exception's name), `ended_by` (`max_problems`, `data`,
    `max_generated_tokens`, `max_time`, .., or the exception's name), `problems_seen`,
    `progressive_accuracy` and `window_accuracy` each with `_low` and `_high` (`progressive_low`, ..),
    `unreadable_gold_rate`, `judging_error_rate` and `timeout_rate`, `pairs` {agent: n},
    `ties` {agent: {kind: n}}, `seconds` {play, score, update, total} (total: wall clock between the start
    and the end of the stream), `generated_tokens`, `generated_tokens_per_second` (of play),
    `peak_memory_bytes`, `seed`, `versions`, `identity`, and `latest`: the last batch's other numbers.
    Unknown numbers are null. Sums go over the whole run, across resumes.
    """

    files = ("summary.json",)
    writes = False  # it prints too

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._sums: dict[str, float] = {}
        self._peak_memory_bytes = 0.0
        self._seconds_before = 0.0
        self._started = time.monotonic()
        self._latest: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        return {
            "sums": self._sums,
            "peak_memory_bytes": self._peak_memory_bytes,
            "seconds": self._seconds(),
            "latest": self._latest,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sums = dict(state_dict["sums"])
        self._peak_memory_bytes = state_dict["peak_memory_bytes"]
        self._seconds_before = state_dict["seconds"]
        self._latest = dict(state_dict["latest"])

    def play_started(self, module: PlayedModule, seen: int) -> None:
        if seen == 0:  # validate loads the state of the fit that wrote its checkpoint
            self._forget()
        self._started = time.monotonic()

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        self._latest = {name: float(value) for name, value in values.items()}
        for name, value in self._latest.items():
            if is_summed(name):
                self._sums[name] = self._sums.get(name, 0.0) + value
        self._peak_memory_bytes = max(self._peak_memory_bytes, self._latest.get("peak_memory_bytes", 0.0))

    def play_ended(self, module: PlayedModule, stopped_by: BaseException | None) -> None:
        summary = self.summary(module, stopped_by)
        if self.keeps:
            write_summary(self.folder, summary)
        print_summary(summary, self.folder)

    def summary(self, module: PlayedModule, stopped_by: BaseException | None = None) -> dict[str, Any]:
        """What `summary.json` holds."""
        accuracies = [
            f"{curve}_{part}" for curve in ("progressive", "window") for part in ("accuracy", "low", "high")
        ]
        seconds = {phase: self._sums.get(f"seconds/{phase}", 0.0) for phase in PHASES}
        summary = {
            "verb": self.verb,
            **ending(module.ended_by, stopped_by),
            "problems_seen": module.problems_seen,
            **{name: self._latest.get(name) for name in accuracies},
            **unjudged_shares(self._sums, self._latest),
            "pairs": pairs_by_agent(self._sums),
            "ties": ties_by_agent(self._sums),
            "seconds": {**seconds, "total": self._seconds()},
            "generated_tokens": int(self._sums.get("generated_tokens", 0)),
            "generated_tokens_per_second": tokens_per_second(self._sums),
            **training_facts(module, self._peak_memory_bytes),
        }
        told = {*summary, *self._sums, "problems", "window_full"}
        summary["latest"] = {name: value for name, value in self._latest.items() if name not in told}
        known: dict[str, Any] = unknown_as_null(summary)
        return known

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started


def unjudged_shares(sums: BatchValues, latest: BatchValues) -> dict[str, float | None]:
    """What could not be judged: of the golds that the stream has met, and of all answers of the run."""
    answers = sums.get("judged_answers")
    return {
        "unreadable_gold_rate": latest.get("unreadable_gold_rate"),
        "judging_error_rate": sums["judging_errors"] / answers if answers else None,
        "timeout_rate": sums["judging_timeouts"] / answers if answers else None,
    }


def print_summary(summary: Mapping[str, Any], folder: Path) -> None:
    """Prints the numbers one looks at first, and where the run's products are."""
    import rich
    from rich.table import Table

    table = Table(title=f"{summary['verb']}: {summary['ended']}", show_header=False)
    table.add_row("ended by", summary["ended_by"])
    table.add_row("problems", f"{summary['problems_seen']:,}")
    for curve, name in (("progressive", "right, all problems"), ("window", "right, latest problems")):
        if summary[f"{curve}_accuracy"] is not None:
            low, high = summary[f"{curve}_low"], summary[f"{curve}_high"]
            table.add_row(name, f"{summary[f'{curve}_accuracy']:.1%} ({low:.1%} to {high:.1%})")
    table.add_row("not judged", unjudged(summary))
    table.add_row("pairs", ", ".join(f"{agent} {number:,}" for agent, number in summary["pairs"].items()))
    table.add_row(
        "seconds", ", ".join(f"{phase} {value:,.1f}" for phase, value in summary["seconds"].items())
    )
    table.add_row("tokens/s of play", f"{summary['generated_tokens_per_second']:,.0f}")
    console = rich.get_console()
    console.print(table)
    for product in ("summary.json", *PRODUCTS):
        if (folder / product).exists():
            console.print(f"{folder / product}", soft_wrap=True, markup=False, highlight=False)

"""The small JSON file at the end of a run, and the versions that it rests on."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from callbacks.batch_values import BatchValues
from callbacks.watched_modules import TrainedModule
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.visible import visible_line

PACKAGES = (
    "flowdpo_pl",
    "torch",
    "lightning",
    "transformers",
    "peft",
    "datasets",
    "torchmetrics",
    "math-verify",
)


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Writes `summary.json`; numbers that are not finite become null."""
    with whole_file(folder / "summary.json") as partial:
        text = json.dumps(unknown_as_null(summary), indent=2, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")


def ending(ended_by: str, stopped_by: BaseException | None) -> dict[str, str]:
    """How a run has come to its end.

    `ended` is `finished`, or the name of the exception that stopped the run; `ended_by` is that name too, or
    else what ended it as it should: a setting, or the data.
    """
    if stopped_by is None:
        return {"ended": "finished", "ended_by": ended_by}
    return dict.fromkeys(("ended", "ended_by"), type(stopped_by).__name__)


UNJUDGED = ("unreadable_gold_rate", "judging_error_rate", "timeout_rate")
"""The shares of problems without a gold answer that can be read, of answers without a verdict, and of those
whose judging took too long."""


def unjudged_shares(sums: BatchValues, latest: BatchValues) -> dict[str, float | None]:
    """What could not be judged: of the golds that the stream has met, and of all answers of the run."""
    answers = sums.get("judged_answers")
    return {
        "unreadable_gold_rate": latest.get("unreadable_gold_rate"),
        "judging_error_rate": sums["judging_errors"] / answers if answers else None,
        "timeout_rate": sums["judging_timeouts"] / answers if answers else None,
    }


def unjudged(summary: Mapping[str, Any]) -> str:
    """These shares in words, for the table at a run's end."""
    words = ("unreadable golds", "judging errors", "of them time-outs")
    shares = (_percent(summary.get(name)) for name in UNJUDGED)
    return ", ".join(f"{what} {share}" for what, share in zip(words, shares, strict=True))


def chooser_told(chooser: Mapping[str, Any]) -> str:
    """How often an agent that chooses was early, late, or never said finished; empty where none was asked."""
    rates = ("early", "late", "cut")
    return ", ".join(f"{rate} {_percent(chooser[f'{rate}_rate'])}" for rate in rates) if chooser else ""


def share_told(share: float, low: float, high: float) -> str:
    """An accuracy with its interval."""
    return f"{share:.1%} ({low:.1%} to {high:.1%})"


def _percent(share: float | None) -> str:
    return "unknown" if share is None or math.isnan(share) else f"{share:.1%}"


def print_rows(title: str, rows: Mapping[str, str]) -> None:
    """Prints a table of names and texts."""
    import rich
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, show_header=False)
    for name, text in rows.items():
        table.add_row(Text(visible_line(name)), Text(visible_line(text)))
    rich.get_console().print(table)


def training_facts(module: TrainedModule, peak_memory_bytes: float) -> dict[str, Any]:
    """What a training run of any kind ends its summary with: what it took, what it was, what it rests on."""
    return {
        "peak_memory_bytes": int(peak_memory_bytes),
        "seed": module.seed,
        "versions": versions(),
        "identity": dict(module.identity()),
    }


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that a run rests on; null where one isn't installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def unknown_as_null(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: unknown_as_null(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value

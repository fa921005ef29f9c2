"""The small JSON file at the end of a run, and the versions that it rests on."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from callbacks.watching.watched_modules import TrainedModule
from flowdpo_pl.results.atomic_writes import whole_file

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

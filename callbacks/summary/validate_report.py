"""A `validate` of a flow at its end: what `summary.json` holds of it, and what is printed.

The flow stays as it is, so nothing here is about learning, and the accuracy is that of `test`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from callbacks.summary.shares import chooser_told, share_told, unjudged, unjudged_shares
from callbacks.watching.batch_values import BatchValues, tokens_per_second
from flowdpo_pl.results.run_numbers import RunNumbers

PRODUCTS = ("accuracy_curve.png", "samples", "summary.json", "accuracy_curve.csv", "trees.jsonl")
OVER = {
    "accuracy": "all problems; Wilson, 95 %, rewrites of one question as one outcome",
    "judging_error_rate, timeout_rate": "all answers",
    "unreadable_gold_rate": "all problems met",
    "chooser, chunks_per_answer": "all main chains",
    "seconds, generated_tokens": "the whole run; seconds.total is wall clock",
}
"""What each number of the summary is over."""


def validate_summary(run: RunNumbers, latest: BatchValues, seconds: float) -> dict[str, Any]:
    """The numbers of `summary.json`; NaN or None for what is unknown. Arguments as of `fit_summary`."""
    return {
        **{name: latest.get(name) for name in ("accuracy", "low", "high")},
        **unjudged_shares(run.sums, latest),
        "chooser": run.chooser,
        "chunks_per_answer": run.chunks_per_answer,
        "seconds": {"play": run.sums.get("seconds/play", 0.0), "total": seconds},
        "generated_tokens": int(run.sums.get("generated_tokens", 0)),
        "generated_tokens_per_second": tokens_per_second(run.sums),
        "over": OVER,
    }


def validate_rows(summary: Mapping[str, Any]) -> dict[str, str]:
    """The numbers that one looks at first, for a table."""
    rows = {"problems": f"{summary['problems_seen']:,}"}
    if summary["accuracy"] is not None:
        rows["right"] = share_told(*(summary[part] for part in ("accuracy", "low", "high")))
    rows["chooser"] = chooser_told(summary["chooser"])
    rows["not judged"] = unjudged(summary)
    rows["seconds"] = ", ".join(f"{phase} {value:,.1f}" for phase, value in summary["seconds"].items())
    rows["tokens/s of play"] = f"{summary['generated_tokens_per_second']:,.0f}"
    return {name: text for name, text in rows.items() if text}

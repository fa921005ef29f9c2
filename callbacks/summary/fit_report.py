"""A `fit` of a flow at its end: what `summary.json` holds of it, and what is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from callbacks.summary.shares import chooser_told, share_told, unjudged, unjudged_shares
from callbacks.watching.batch_values import (
    BatchValues,
    groups_by_agent,
    pairs_by_agent,
    ties_by_agent,
    tokens_per_second,
)
from flowdpo_pl.results.run_course import Finding
from flowdpo_pl.results.run_numbers import RunNumbers

PHASES = ("play", "score", "update")
ACCURACIES = [
    f"{curve}_{part}" for curve in ("progressive", "window") for part in ("accuracy", "low", "high")
]
PRODUCTS = (
    "accuracy_curve.png",
    "samples",
    "summary.json",
    "accuracy_curve.csv",
    "trees.jsonl",
    "adapters/last",
    "checkpoints/last.ckpt",
)
OVER = {
    "progressive_accuracy": "all problems of the run; 95 % at all times together",
    "window_accuracy": "the latest problems, model.window of them; Wilson, 95 %",
    "unreadable_gold_rate": "the problems met since the run was started or resumed",
    "judging_error_rate, timeout_rate": "all answers of the run",
    "pairs, ties, groups, chooser, generated_tokens": "the run, across resumes",
    "margins": "the run's pairs, each as large as when it was learnt",
    "chunks_per_answer": "all main chains of the run",
    "seconds": "the run, across resumes; total is wall clock",
    "latest": "the last batch alone",
}
"""What each number of the summary is over."""


def fit_summary(run: RunNumbers, latest: BatchValues, seconds: float) -> dict[str, Any]:
    """The numbers of `summary.json`; NaN or None for what is unknown.

    Args:
        run: of all batches.
        latest: of the last batch.
        seconds: wall clock of the run.
    """
    sums = run.sums
    summary = {
        **{name: latest.get(name) for name in ACCURACIES},
        **unjudged_shares(sums, latest),
        "pairs": pairs_by_agent(sums),
        "ties": ties_by_agent(sums),
        "groups": groups_by_agent(sums),
        "margins": run.margins,
        "chooser": run.chooser,
        "chunks_per_answer": run.chunks_per_answer,
        "seconds": {**{phase: sums.get(f"seconds/{phase}", 0.0) for phase in PHASES}, "total": seconds},
        "generated_tokens": int(sums.get("generated_tokens", 0)),
        "generated_tokens_per_second": tokens_per_second(sums),
    }
    told = {"problems_seen", "window_full", *ACCURACIES, *sums, "unreadable_gold_rate"}
    return {
        **summary,
        "over": OVER,
        "latest": {name: value for name, value in latest.items() if name not in told},
    }


def told(findings: Sequence[Finding]) -> dict[str, Any]:
    """Why a run may not learn, as `summary.json` holds it."""
    return {
        "findings": [
            {"name": finding.name, "sentence": finding.sentence, "try": finding.advice}
            for finding in findings
        ]
    }


def fit_rows(summary: Mapping[str, Any]) -> dict[str, str]:
    """The numbers that one looks at first, for a table."""
    rows = {"problems": f"{summary['problems_seen']:,}"}
    for curve, name in (("progressive", "right, all problems"), ("window", "right, latest problems")):
        if summary[f"{curve}_accuracy"] is not None:
            rows[name] = share_told(*(summary[f"{curve}_{part}"] for part in ("accuracy", "low", "high")))
    rows["pairs"] = ", ".join(f"{agent} {number:,}" for agent, number in summary["pairs"].items())
    for kind in dict.fromkeys(kind for of_agent in summary["ties"].values() for kind in of_agent):
        numbers = {agent: of_agent[kind] for agent, of_agent in summary["ties"].items()}
        if any(numbers.values()):
            told = ", ".join(f"{agent} {number:,}" for agent, number in numbers.items())
            rows[f"ties, {kind.replace('_', ' ')}"] = told
    of_agents = summary["groups"].items()
    rows["groups that taught"] = ", ".join(f"{a} {of['taught']:,} of {of['all']:,}" for a, of in of_agents)
    margins = (f"{agent} {margin:+.2f}" for agent, margin in summary["margins"].items())
    rows["margin, mean of pairs"] = ", ".join(margins)
    rows["margin, last batch"] = ", ".join(
        f"{agent} {summary['latest'][f'{agent}/margin']:+.2f}"
        for agent in summary["margins"]
        if summary["latest"].get(f"{agent}/margin") is not None
    )
    rows["chooser"] = chooser_told(summary["chooser"])
    rows["not judged"] = unjudged(summary)
    rows["seconds"] = ", ".join(f"{phase} {value:,.1f}" for phase, value in summary["seconds"].items())
    rows["tokens/s of play"] = f"{summary['generated_tokens_per_second']:,.0f}"
    for number, finding in enumerate(summary["findings"], start=1):
        rows[f"in the way, {number}"] = f"{finding['sentence']}. Try: {finding['try']}."
    return {name: text for name, text in rows.items() if text}

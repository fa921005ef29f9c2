"""Shares and intervals of a summary, and how they read in the table at a run's end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from callbacks.watching.batch_values import BatchValues

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

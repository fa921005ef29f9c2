"""Progressive accuracy: how often, or how far, the flow was right, each problem judged before its update.

Shapes: B problems of a batch, W length of the window.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from flowdpo_pl.errors import COUNT, require_within
from flowdpo_pl.measure.intervals import time_uniform, wilson


class ProgressiveAccuracy(Metric):
    """Mean score of main chains over the whole stream and over its last `window` problems: the share of right
    ones where each is right or wrong.

    The cumulative value has a time-uniform interval (its target drifts as the agents learn, and it is
    looked at after every batch); the window has Wilson's.

    Several ranks each feed the outcomes of all of them, in stream order: nothing is left to synchronise.

    Args:
        window: Number of latest problems in the window (W).
        confidence: Coverage of both intervals, in (0, 1).
    """

    scores: Tensor
    """Sum of the scores so far (float64 scalar, exact for right and wrong)."""
    squared_scores: Tensor
    """Sum of their squares so far (float64 scalar)."""
    seen: Tensor
    """Number of problems so far (int64 scalar)."""
    squared_sizes: Tensor
    """Sum over groups of the squared group size so far (int64 scalar)."""
    recent_scores: Tensor
    """Scores of the latest problems, newest last (float64 [W])."""
    recent_sizes: Tensor
    """Sizes of the groups that those problems belong to, 0 where there was none yet (int64 [W])."""

    def __init__(self, window: int = 160, confidence: float = 0.95) -> None:
        # without a cache, no value of before outlives the loading of a checkpoint
        super().__init__(sync_on_compute=False, compute_with_cache=False)
        require_within(COUNT, {"model.window": window})
        self.window = window
        self.confidence = confidence
        for name in ("scores", "squared_scores"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), persistent=True)
        for name in ("seen", "squared_sizes"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), persistent=True)
        self.add_state("recent_scores", torch.zeros(window, dtype=torch.float64), persistent=True)
        self.add_state("recent_sizes", torch.zeros(window, dtype=torch.int64), persistent=True)

    def update(self, scores: Tensor, groups: Tensor | None = None) -> None:
        """Adds a batch in stream order.

        Args:
            scores: Of each problem's main chain, in [0, 1] (float [B]), or whether it was right (bool [B]).
            groups: Equal numbers mark rewrites of one seed question (int [B]). A group must lie in one
                batch, otherwise the intervals come out too narrow. None: every problem stands alone.
        """
        outcomes = scores.detach().to(self.seen.device, torch.float64).flatten()
        if groups is None:
            sizes = torch.ones_like(outcomes, dtype=torch.int64)
        else:
            groups = groups.to(outcomes.device).flatten()
            _, index, sizes = torch.unique(groups, return_inverse=True, return_counts=True)
            sizes = sizes[index]
        # New tensors, never in place: a state may still be shared with a loaded checkpoint.
        self.scores = self.scores + outcomes.sum()
        self.squared_scores = self.squared_scores + outcomes.square().sum()
        self.seen = self.seen + outcomes.numel()
        self.squared_sizes = self.squared_sizes + sizes.sum()
        self.recent_scores = torch.cat([self.recent_scores, outcomes])[-self.window :]
        self.recent_sizes = torch.cat([self.recent_sizes, sizes])[-self.window :]

    def compute(self) -> dict[str, Tensor]:
        """Running values as scalar tensors (float32; counts int64).

        `progressive_accuracy`, `progressive_low`, `progressive_high`, `window_accuracy`, `window_low`,
        `window_high`, `problems` and `window_full` (1 once the window holds W problems, else 0).
        Accuracies are NaN before the first problem.
        """
        seen, total = int(self.seen), float(self.scores)
        in_window, window_total = int((self.recent_sizes > 0).sum()), float(self.recent_scores.sum())
        cumulative = time_uniform(total, seen, self.confidence, squared_sizes=int(self.squared_sizes))
        window = wilson(
            window_total,
            in_window,
            self.confidence,
            squared_sizes=int(self.recent_sizes.sum()),
            squares=float(self.recent_scores.square().sum()),
        )
        values: dict[str, float] = {
            "progressive_accuracy": total / seen if seen else float("nan"),
            "progressive_low": cumulative.low,
            "progressive_high": cumulative.high,
            "window_accuracy": window_total / in_window if in_window else float("nan"),
            "window_low": window.low,
            "window_high": window.high,
        }
        counts = {"problems": seen, "window_full": int(in_window == self.window)}
        result = {name: self.seen.new_tensor(value, dtype=torch.float32) for name, value in values.items()}
        return result | {name: self.seen.new_tensor(count) for name, count in counts.items()}

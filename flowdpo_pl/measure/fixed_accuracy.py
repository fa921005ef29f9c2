"""The accuracy of a flow that stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from flowdpo_pl.measure.intervals import wilson
from flowdpo_pl.measure.progressive_accuracy import ProgressiveAccuracy


class FixedAccuracy(ProgressiveAccuracy):
    """The same counts for `validate`, where all problems are outcomes of one flow and looked at once.

    So the interval over all is Wilson's, as in `test`. The running values stay what they are: a curve is
    looked at everywhere at once, for which only an interval at all times together is right.
    """

    def compute(self) -> dict[str, Tensor]:
        """The running values, and over all problems `accuracy`, `low` and `high` (float32 scalars)."""
        seen, total = int(self.seen), float(self.scores)
        over_all = wilson(
            total,
            seen,
            self.confidence,
            squared_sizes=int(self.squared_sizes),
            squares=float(self.squared_scores),
        )
        values = {
            "accuracy": total / seen if seen else float("nan"),
            "low": over_all.low,
            "high": over_all.high,
        }
        fixed = {name: self.seen.new_tensor(value, dtype=torch.float32) for name, value in values.items()}
        return super().compute() | fixed

r"""How much better a move was, by rank: of a group's returns only their order counts.

    python -m flowdpo_pl fit --config configs/quickstart.yaml --config configs/objectives/grpo.yaml \
        --model.learning.loss.advantage=examples.advantage.ByRank

For verifiers whose scores are no shares of right: only which of two endings is better counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flowdpo_pl import Advantage


@dataclass(frozen=True)
class ByRank(Advantage):
    """The share of the others that it is better than, less the share that is better than it."""

    def __call__(self, returns: Sequence[float]) -> list[float]:
        """They add up to 0, so that what a whole group has in common has no part in the gradient."""
        others = len(returns) - 1
        return [sum((one > other) - (one < other) for other in returns) / others for one in returns]

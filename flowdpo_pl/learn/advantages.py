"""How much better than the rest of its group a move was: advantages, from the returns of its members.

Both subtract what the group as a whole came to, so that they add up to 0 in a group. Then what is common to
all moves of a node, such as the ban of an empty chunk, has no part in the gradient.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


class Advantage(ABC):
    """A function of a group's returns."""

    @abstractmethod
    def __call__(self, returns: Sequence[float]) -> list[float]:
        """Of each member."""


@dataclass(frozen=True)
class LeaveOneOut(Advantage):
    """The return less the mean of the others' (RLOO, Ahmadian et al., arXiv 2402.14740).

    The baseline of a draw knows nothing of the draw, so that the gradient is exact on average.
    """

    def __call__(self, returns: Sequence[float]) -> list[float]:
        total, others = sum(returns), len(returns) - 1
        return [one - (total - one) / others for one in returns]


@dataclass(frozen=True)
class GroupNormalised(Advantage):
    """The return less the group's mean, divided by its standard deviation (GRPO, arXiv 2402.03300).

    Nodes that are nearly always right or wrong weigh more than in the gradient of the expected return, which
    this is not (arXiv 2503.20783).
    """

    def __call__(self, returns: Sequence[float]) -> list[float]:
        mean, spread = fmean(returns), stdev(returns)
        return [(one - mean) / spread if spread else 0.0 for one in returns]

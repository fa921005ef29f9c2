r"""Two more losses: robust DPO, for labels that may be wrong, and SimPO, which needs no reference.

    python -m flowdpo_pl fit --config configs/quickstart.yaml --model.learning.loss=examples.losses.RobustDPO
    python -m flowdpo_pl fit --config configs/quickstart.yaml --model.learning.loss=examples.losses.SimPO

A loss that says so (`needs_reference`) saves the reference's forward. What compares with the reference, such
as the margin, is then missing in logs and summary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid

from flowdpo_pl import PairScores, PreferenceLoss
from flowdpo_pl.errors import POSITIVE, Range, require_within


@dataclass(frozen=True)
class RobustDPO(PreferenceLoss):
    """In expectation DPO's loss without the wrong labels (Chowdhury et al., arXiv 2403.00409).

    ((1 - e) * dpo(margin) - e * dpo(-margin)) / (1 - 2 e) with dpo(m) = -log sigmoid(beta * m). First: log 2.
    """

    beta: float = 1.0
    """Inverse temperature, as in DPO."""
    flipped: float = 0.1
    """Share of wrong labels (the paper's epsilon), from 0 to below 0.5."""

    def __post_init__(self) -> None:
        require_within(POSITIVE, {"beta": self.beta})
        require_within(Range(0, 0.5, open_high=True), {"flipped": self.flipped})

    def __call__(self, scores: PairScores) -> Tensor:
        """The loss of each pair, `[P]`."""
        logits = self.beta * scores.margin
        as_labelled, otherwise = -logsigmoid(logits), -logsigmoid(-logits)
        return ((1 - self.flipped) * as_labelled - self.flipped * otherwise) / (1 - 2 * self.flipped)


@dataclass(frozen=True)
class SimPO(PreferenceLoss):
    """-log sigmoid(beta * (mean log-probability of a chosen token - of a rejected one) - target).

    Meng et al., arXiv 2405.14734. There is no first value: without a reference nothing begins at 0.
    """

    needs_reference: ClassVar[bool] = False

    beta: float = 2.0
    """Scale of the means over tokens."""
    target: float = 1.0
    """Margin to be reached (the paper's gamma)."""

    def __post_init__(self) -> None:
        require_within(POSITIVE, {"beta": self.beta})

    def __call__(self, scores: PairScores) -> Tensor:
        """The loss of each pair, `[P]`."""
        chosen = scores.policy_chosen / scores.chosen_tokens
        rejected = scores.policy_rejected / scores.rejected_tokens
        return -logsigmoid(self.beta * (chosen - rejected) - self.target)

"""DPO-Positive (Pal et al., "Smaug", arXiv 2402.13228): a better move must not become rarer.

    python -m flowdpo_pl fit --config configs/quickstart.yaml --model.learning.loss=examples.loss.DPOPositive

DPO only asks that the margin grows, which it also does while both moves lose. Here what the better move has
lost against the reference is subtracted from the margin, `penalty` times.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from flowdpo_pl import PairScores, PreferenceLoss
from flowdpo_pl.errors import NOT_NEGATIVE, POSITIVE, require_within


@dataclass(frozen=True)
class DPOPositive(PreferenceLoss):
    """-log sigmoid(beta * (margin - penalty * max(0, log reference(chosen) - log policy(chosen))))."""

    beta: float = 1.0
    """Inverse temperature, as in DPO."""
    penalty: float = 5.0
    """How often a loss of the chosen move counts (the paper's lambda)."""

    def __post_init__(self) -> None:
        require_within(POSITIVE, {"beta": self.beta})
        require_within(NOT_NEGATIVE, {"penalty": self.penalty})

    def __call__(self, scores: PairScores) -> Tensor:
        """The loss of each pair, `[P]`."""
        lost = (scores.reference_chosen - scores.policy_chosen).clamp(min=0)
        return -logsigmoid(self.beta * (scores.margin - self.penalty * lost))

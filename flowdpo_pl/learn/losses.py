"""Preference losses, one small class each; a config names the one to use.

Shape: P pairs. All log-probabilities are sums over the tokens of the moves that differ (nats).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from flowdpo_pl.errors import POSITIVE, Range, require_within


@dataclass(frozen=True)
class PairScores:
    """What policy and reference say of P pairs; every field is `[P]`."""

    policy_chosen: Tensor
    policy_rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor
    chosen_tokens: Tensor
    """Tokens of the chosen move."""
    rejected_tokens: Tensor

    @property
    def margin(self) -> Tensor:
        """How much more the policy prefers the chosen move than the reference does, before beta."""
        policy = self.policy_chosen - self.policy_rejected
        reference = self.reference_chosen - self.reference_rejected
        return policy - reference


class PreferenceLoss(ABC):
    """A loss over pairs."""

    @abstractmethod
    def __call__(self, scores: PairScores) -> Tensor:
        """The loss of each pair, `[P]`."""


@dataclass(frozen=True)
class SigmoidLoss(PreferenceLoss):
    """DPO (Rafailov et al., arXiv 2305.18290, equation 7), with conservative label smoothing.

    -(1 - e) log sigmoid(beta * margin) - e log sigmoid(-beta * margin), e the label smoothing
    (Mitchell, "A note on DPO with noisy preferences", 2023).
    """

    beta: float = 1.0
    """Inverse temperature of the implicit reward (paper: 1.0)."""
    label_smoothing: float = 0.0
    """Assumed share of wrong preferences, 0 to below 0.5: at half of them nothing is preferred."""

    def __post_init__(self) -> None:
        require_within(POSITIVE, {"beta": self.beta})
        require_within(Range(0, 0.5, open_high=True), {"label_smoothing": self.label_smoothing})

    def __call__(self, scores: PairScores) -> Tensor:
        logits = self.beta * scores.margin
        right, wrong = F.logsigmoid(logits), F.logsigmoid(-logits)
        return -(1 - self.label_smoothing) * right - self.label_smoothing * wrong

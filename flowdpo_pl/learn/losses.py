"""Preference losses, one small class each; a config names the one to use.

All log-probabilities are sums over the tokens of the moves that differ (nats). The first loss
of a run, where the policy is the reference and every margin 0, is said with each class.

Shapes: P pairs, M moves, two a pair: chosen 2i, rejected 2i + 1.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from flowdpo_pl.errors import POSITIVE, Range, require_within
from flowdpo_pl.learn.objective import MoveScores, Objective
from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.learn.scoring import MicroBatch
from flowdpo_pl.types import PreferencePair, RolloutTree


@dataclass(frozen=True)
class PairScores:
    """What policy and reference say of P pairs; every field is `[P]`."""

    policy_chosen: Tensor
    policy_rejected: Tensor
    reference_chosen: Tensor
    """Not a number, as all that follows from it, where the loss needs no reference."""
    reference_rejected: Tensor
    chosen_tokens: Tensor
    """Tokens of the chosen move."""
    rejected_tokens: Tensor

    @staticmethod
    def of(scores: MoveScores) -> PairScores:
        """From those of moves, chosen and rejected in turn."""
        return PairScores(
            policy_chosen=scores.policy[0::2],
            policy_rejected=scores.policy[1::2],
            reference_chosen=scores.reference[0::2],
            reference_rejected=scores.reference[1::2],
            chosen_tokens=scores.tokens[0::2],
            rejected_tokens=scores.tokens[1::2],
        )

    @property
    def margin(self) -> Tensor:
        """How much more the policy prefers the chosen move than the reference does, before beta."""
        policy = self.policy_chosen - self.policy_rejected
        reference = self.reference_chosen - self.reference_rejected
        return policy - reference

    @property
    def margin_per_token(self) -> Tensor:
        """The same of log-probabilities that are means over the tokens of each move."""
        chosen = (self.policy_chosen - self.reference_chosen) / self.chosen_tokens
        return chosen - (self.policy_rejected - self.reference_rejected) / self.rejected_tokens


class PreferenceLoss(Objective):
    """A loss over pairs."""

    needs_reference: ClassVar[bool] = True
    """Whether it asks what the reference says; if not, the reference reads nothing (one forward less)."""
    numbers: ClassVar[tuple[str, ...]] = (
        "margin",
        "chosen_logprob",
        "rejected_logprob",
        "chosen_shift",
        "preferred",
    )
    """docs/runs.md explains them; those that compare with the reference are nan where there is none."""

    @abstractmethod
    def __call__(self, scores: PairScores) -> Tensor:
        """The loss of each pair, `[P]`."""

    def mine(self, trees: Sequence[RolloutTree], margin: float) -> Sequence[PreferencePair]:
        return mine(trees, margin).pairs

    def score(
        self, scores: MoveScores, lessons: Sequence[PreferencePair]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        pairs = PairScores.of(scores)
        return self(pairs), {
            "margin": pairs.margin,
            "chosen_logprob": pairs.policy_chosen,
            "rejected_logprob": pairs.policy_rejected,
            "chosen_shift": pairs.policy_chosen - pairs.reference_chosen,
            "preferred": _positive(pairs.margin),
        }


def pair_scores(policy: Tensor, reference: Tensor, batch: MicroBatch) -> PairScores:
    """Scores of a micro-batch's pairs from those of its moves `[M]`."""
    return PairScores.of(MoveScores(policy, reference, policy.detach(), batch.lengths))


def _positive(margin: Tensor) -> Tensor:
    """1 where a margin is above 0, else 0; nan where it is unknown."""
    return torch.where(margin.isnan(), margin, (margin > 0).float())


@dataclass(frozen=True)
class SigmoidLoss(PreferenceLoss):
    """DPO (Rafailov et al., arXiv 2305.18290, equation 7), with conservative label smoothing.

    -(1 - e) log sigmoid(beta * margin) - e log sigmoid(-beta * margin), e the label smoothing
    (Mitchell, "A note on DPO with noisy preferences", 2023). The first loss is log 2.
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


@dataclass(frozen=True)
class IPOLoss(PreferenceLoss):
    """IPO (Azar et al., arXiv 2310.12036, equation 17): the margin is led to one size and not beyond it.

    (margin - 1 / (2 tau))^2. Log-probabilities are sums over tokens, as in the paper; TRL's `ipo` takes means
    over tokens, so a tau of there is another one here. The first loss is 1 / (4 tau^2): 25 where tau is 0.1.
    """

    tau: float = 0.1
    """Strength of the pull to the reference: the margin aimed at is 1 / (2 tau) nats."""

    def __post_init__(self) -> None:
        require_within(POSITIVE, {"tau": self.tau})

    def __call__(self, scores: PairScores) -> Tensor:
        return (scores.margin - 1 / (2 * self.tau)).square()


@dataclass(frozen=True)
class HingeLoss(PreferenceLoss):
    """The hinge of SLiC-HF (Zhao et al., arXiv 2305.10425) on the margin: pairs beyond it teach nothing.

    max(0, 1 - beta * margin), which is hinge-norm in RSO (Liu et al., arXiv 2309.06657). The first loss is 1.
    """

    beta: float = 1.0
    """Inverse temperature of the implicit reward: the margin that is enough is 1 / beta nats."""

    def __post_init__(self) -> None:
        require_within(POSITIVE, {"beta": self.beta})

    def __call__(self, scores: PairScores) -> Tensor:
        return F.relu(1 - self.beta * scores.margin)


@dataclass(frozen=True)
class SigmoidNLLLoss(PreferenceLoss):
    """DPO plus NLL (Pang et al., arXiv 2404.19733, equation 1): the chosen move must not become rarer.

    -log sigmoid(beta * margin) - alpha * log policy(chosen) / tokens of the chosen move. The first loss is
    log 2 and alpha times what a token of the chosen moves costs, mean of pairs.
    """

    beta: float = 1.0
    """Inverse temperature of the implicit reward."""
    alpha: float = 1.0
    """Weight of the chosen move's mean negative log-probability a token (paper: 1.0)."""

    def __post_init__(self) -> None:
        require_within(POSITIVE, {"beta": self.beta, "alpha": self.alpha})

    def __call__(self, scores: PairScores) -> Tensor:
        return -F.logsigmoid(self.beta * scores.margin) - self.alpha * (
            scores.policy_chosen / scores.chosen_tokens
        )


@dataclass(frozen=True)
class LengthNormalisedLoss(PreferenceLoss):
    """Length-normalised DPO (Lambert et al., "Tulu 3", arXiv 2411.15124): a long move weighs no more.

    -log sigmoid(beta * margin_per_token); for a choice, one token, it is DPO. The first loss is log 2.
    """

    beta: float = 5.0
    """Inverse temperature of the implicit reward a token (Tulu 3: 5): larger than in DPO, as means over
    tokens are smaller than sums."""

    def __post_init__(self) -> None:
        require_within(POSITIVE, {"beta": self.beta})

    def __call__(self, scores: PairScores) -> Tensor:
        return -F.logsigmoid(self.beta * scores.margin_per_token)

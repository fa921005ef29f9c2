"""The sigmoid loss is its formula, by hand and by its slope."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

import pytest
import torch

from flowdpo_pl.learn.losses import PairScores, SigmoidLoss

SCORES = PairScores(
    policy_chosen=torch.tensor([-1.0, -2.0, -40.0], dtype=torch.float64),
    policy_rejected=torch.tensor([-3.0, -1.0, -1.0], dtype=torch.float64),
    reference_chosen=torch.tensor([-1.5, -2.5, -1.0], dtype=torch.float64),
    reference_rejected=torch.tensor([-2.0, -2.5, -40.0], dtype=torch.float64),
    chosen_tokens=torch.tensor([2.0, 3.0, 4.0]),
    rejected_tokens=torch.tensor([1.0, 3.0, 9.0]),
)
MARGINS = [1.5, -1.0, -78.0]


@pytest.mark.parametrize(("beta", "smoothing"), [(1.0, 0.0), (0.3, 0.0), (0.5, 0.2)])
def test_value_is_the_formula_s(beta: float, smoothing: float) -> None:
    assert SCORES.margin.tolist() == MARGINS
    by_hand = [
        (1 - smoothing) * log(1 + exp(-beta * margin)) + smoothing * log(1 + exp(beta * margin))
        for margin in MARGINS
    ]
    assert SigmoidLoss(beta, smoothing)(SCORES).tolist() == pytest.approx(by_hand, rel=1e-12)


def test_it_is_ln_2_where_the_policy_is_the_reference() -> None:
    same = replace(SCORES, policy_chosen=SCORES.reference_chosen, policy_rejected=SCORES.reference_rejected)
    for smoothing in (0.0, 0.3):
        assert SigmoidLoss(0.7, smoothing)(same).tolist() == pytest.approx([log(2)] * 3)


def test_the_slope_is_minus_beta_times_the_chance_of_being_wrong() -> None:
    chosen = SCORES.policy_chosen.clone().requires_grad_()
    rejected = SCORES.policy_rejected.clone().requires_grad_()
    SigmoidLoss(beta=0.5)(replace(SCORES, policy_chosen=chosen, policy_rejected=rejected)).sum().backward()
    expected = [-0.5 / (1 + exp(0.5 * margin)) for margin in MARGINS]
    assert chosen.grad is not None and rejected.grad is not None
    assert chosen.grad.tolist() == pytest.approx(expected)
    assert rejected.grad.tolist() == pytest.approx([-slope for slope in expected])


def test_smoothed_labels_want_no_margin_beyond_their_own_certainty() -> None:
    """With a share e of wrong labels the loss is least at beta * margin = log((1 - e) / e)."""
    best = log(0.8 / 0.2) / 0.5
    margin = torch.tensor([best - 0.01, best, best + 0.01], dtype=torch.float64)
    nothing = torch.zeros(3, dtype=torch.float64)
    losses = SigmoidLoss(beta=0.5, label_smoothing=0.2)(
        PairScores(margin, nothing, nothing, nothing, nothing, nothing)
    )
    assert losses[1] < losses[0] and losses[1] < losses[2]

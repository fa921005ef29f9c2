"""Each loss is its paper's formula, by hand, by its slope, and where the policy is the reference."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from math import exp, log
from pathlib import Path

import pytest
import torch

from flowdpo_pl.learn.losses import (
    HingeLoss,
    IPOLoss,
    LengthNormalisedLoss,
    PairScores,
    PreferenceLoss,
    SigmoidLoss,
    SigmoidNLLLoss,
)

SCORES = PairScores(
    policy_chosen=torch.tensor([-1.0, -2.0, -40.0], dtype=torch.float64),
    policy_rejected=torch.tensor([-3.0, -1.0, -1.0], dtype=torch.float64),
    reference_chosen=torch.tensor([-1.5, -2.5, -1.0], dtype=torch.float64),
    reference_rejected=torch.tensor([-2.0, -2.5, -40.0], dtype=torch.float64),
    chosen_tokens=torch.tensor([2.0, 3.0, 4.0]),
    rejected_tokens=torch.tensor([1.0, 3.0, 9.0]),
)
MARGINS = [1.5, -1.0, -78.0]
MARGINS_PER_TOKEN = [0.5 / 2 + 1.0 / 1, 0.5 / 3 - 1.5 / 3, -39.0 / 4 - 39.0 / 9]
AT_THE_REFERENCE = replace(
    SCORES, policy_chosen=SCORES.reference_chosen, policy_rejected=SCORES.reference_rejected
)
LOSSES = [
    SigmoidLoss(0.5, 0.2),
    IPOLoss(0.25),
    HingeLoss(0.3),
    SigmoidNLLLoss(0.5, 0.7),
    LengthNormalisedLoss(2.0),
]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)


@pytest.mark.parametrize(("beta", "smoothing"), [(1.0, 0.0), (0.3, 0.0), (0.5, 0.2)])
def test_value_is_the_formula_s(beta: float, smoothing: float) -> None:
    assert SCORES.margin.tolist() == MARGINS
    by_hand = [
        (1 - smoothing) * log(1 + exp(-beta * margin)) + smoothing * log(1 + exp(beta * margin))
        for margin in MARGINS
    ]
    assert SigmoidLoss(beta, smoothing)(SCORES).tolist() == pytest.approx(by_hand, rel=1e-12)


def test_it_is_ln_2_where_the_policy_is_the_reference() -> None:
    for smoothing in (0.0, 0.3):
        assert SigmoidLoss(0.7, smoothing)(AT_THE_REFERENCE).tolist() == pytest.approx([log(2)] * 3)


def minus_log_sigmoid(number: float) -> float:
    return log(1 + exp(-number))


@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [
        (IPOLoss(tau=0.25), [0.5**2, 3.0**2, 80.0**2]),  # the margin aimed at is 2
        (HingeLoss(beta=0.5), [0.25, 1.5, 40.0]),
        (HingeLoss(beta=1.0), [0.0, 2.0, 79.0]),  # 1.5 is enough
        (
            SigmoidNLLLoss(beta=0.5, alpha=0.7),
            [
                minus_log_sigmoid(0.75) + 0.7 * 1 / 2,
                minus_log_sigmoid(-0.5) + 0.7 * 2 / 3,
                minus_log_sigmoid(-39.0) + 0.7 * 40 / 4,
            ],
        ),
        (LengthNormalisedLoss(beta=2.0), [minus_log_sigmoid(2 * margin) for margin in MARGINS_PER_TOKEN]),
    ],
)
def test_values_are_the_papers(loss: PreferenceLoss, by_hand: list[float]) -> None:
    assert loss(SCORES).tolist() == pytest.approx(by_hand, rel=1e-6)


@each_loss
def test_slopes_are_those_of_finite_differences(loss: PreferenceLoss) -> None:
    policy = [
        values.clone().requires_grad_() for values in (SCORES.policy_chosen[:2], SCORES.policy_rejected[:2])
    ]

    def of(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
        part = {name: getattr(SCORES, name)[:2] for name in PairScores.__dataclass_fields__}
        return loss(PairScores(**{**part, "policy_chosen": chosen, "policy_rejected": rejected}))

    assert torch.autograd.gradcheck(of, policy)


@each_loss
def test_the_better_move_gains_at_the_start_and_the_worse_one_loses(loss: PreferenceLoss) -> None:
    chosen = AT_THE_REFERENCE.policy_chosen.clone().requires_grad_()
    rejected = AT_THE_REFERENCE.policy_rejected.clone().requires_grad_()
    loss(replace(AT_THE_REFERENCE, policy_chosen=chosen, policy_rejected=rejected)).sum().backward()
    assert chosen.grad is not None and rejected.grad is not None
    assert (chosen.grad < 0).all() and (rejected.grad > 0).all()


@pytest.mark.parametrize(
    ("loss", "first"),
    [
        (IPOLoss(), [25.0] * 3),
        (IPOLoss(tau=0.5), [1.0] * 3),
        (HingeLoss(beta=0.3), [1.0] * 3),
        (SigmoidNLLLoss(alpha=0.5), [log(2) + 0.5 * cost for cost in (1.5 / 2, 2.5 / 3, 1.0 / 4)]),
        (LengthNormalisedLoss(), [log(2)] * 3),
    ],
)
def test_the_first_loss_is_the_documented_one(loss: PreferenceLoss, first: list[float]) -> None:
    assert loss(AT_THE_REFERENCE).tolist() == pytest.approx(first, rel=1e-6)


def test_a_move_of_one_token_is_length_normalised_already() -> None:
    one = torch.ones(3)
    of_choices = replace(SCORES, chosen_tokens=one, rejected_tokens=one)
    assert torch.equal(LengthNormalisedLoss(0.3)(of_choices), SigmoidLoss(0.3)(SCORES))


def test_dpo_plus_nll_is_dpo_and_the_chosen_move_s_cost_a_token() -> None:
    cost = -SCORES.policy_chosen / SCORES.chosen_tokens
    more = SigmoidNLLLoss(beta=0.4, alpha=2.0)(SCORES) - SigmoidLoss(beta=0.4)(SCORES)
    torch.testing.assert_close(more, 2.0 * cost)


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


def test_the_page_of_losses_has_each_with_its_defaults() -> None:
    page = (Path(__file__).parents[2] / "docs" / "losses.md").read_text(encoding="utf-8")
    for loss in map(type, LOSSES):
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{loss.__name__}`"))
        for field in fields(loss):
            assert re.search(rf"`{field.name}`( e)? {field.default}", row), (loss, field.name)

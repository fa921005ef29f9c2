"""The learning rate's course; the learner itself is compared with plain training in test_sft_module.py."""

from __future__ import annotations

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.supervised_learner import SupervisedLearning


def test_the_rate_rises_then_falls_linearly_and_is_never_zero() -> None:
    learning = SupervisedLearning(lr=1.0, warmup_ratio=0.4)
    rates = [learning.lr_at(update, 10) for update in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert learning.lr_at(10, 10) == 0.0
    assert SupervisedLearning(lr=1.0, warmup_ratio=0.0).lr_at(0, 10) == 1.0
    assert SupervisedLearning(lr=1.0, warmup_ratio=1.0).lr_at(9, 10) == 1.0


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(UserError, match=r"warmup_ratio is 10: give at least 0 and at most 1"):
        SupervisedLearning(warmup_ratio=10)

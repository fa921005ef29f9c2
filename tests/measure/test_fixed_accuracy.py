"""Over all problems it is the interval of `test`; running values are those of the metric it extends."""

from __future__ import annotations

import pytest
import torch

from flowdpo_pl.measure.fixed_accuracy import FixedAccuracy
from flowdpo_pl.measure.intervals import wilson
from flowdpo_pl.measure.progressive_accuracy import ProgressiveAccuracy

CORRECT = torch.tensor([True, False, True, True, True, False, True, True])
GROUPS = torch.tensor([0, 0, 1, 2, 2, 2, 3, 4])


def test_rewrites_of_a_question_count_as_one_outcome() -> None:
    metric, running = FixedAccuracy(window=4), ProgressiveAccuracy(window=4)
    for one in (metric, running):
        one.update(CORRECT[:3], GROUPS[:3])
        one.update(CORRECT[3:], GROUPS[3:])
    values = {name: value.item() for name, value in metric.compute().items()}
    expected = wilson(6, 8, squared_sizes=4 + 1 + 9 + 1 + 1)
    torch.testing.assert_close(
        [values["accuracy"], values["low"], values["high"]], [0.75, expected.low, expected.high]
    )
    alone = wilson(6, 8)
    assert values["high"] - values["low"] > alone.high - alone.low
    assert {name: value.item() for name, value in running.compute().items()}.items() <= values.items()


def test_before_the_first_problem_it_is_unknown() -> None:
    values = FixedAccuracy().compute()
    assert values["accuracy"].isnan() and (values["low"], values["high"]) == (0, 1)


def test_graded_answers_have_the_interval_of_their_spread() -> None:
    metric = FixedAccuracy()
    metric.update(torch.tensor([0.5, 0.75, 1.0, 0.25], dtype=torch.float64))
    values = metric.compute()
    expected = wilson(2.5, 4, squares=0.25 + 0.5625 + 1 + 0.0625)
    assert float(values["accuracy"]) == 0.625
    assert (float(values["low"]), float(values["high"])) == pytest.approx(tuple(expected))

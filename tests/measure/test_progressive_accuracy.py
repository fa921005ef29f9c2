import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flowdpo_pl.errors import UserError
from flowdpo_pl.measure.intervals import time_uniform, wilson
from flowdpo_pl.measure.progressive_accuracy import ProgressiveAccuracy


def outcomes(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.6


def batches(stream: Tensor, size: int) -> list[Tensor]:
    return [stream[start : start + size] for start in range(0, len(stream), size)]


def plain(metric: ProgressiveAccuracy) -> dict[str, float]:
    return {name: value.item() for name, value in metric.compute().items()}


def test_values_are_those_of_the_whole_stream_and_of_its_tail() -> None:
    stream = outcomes(75)
    metric = ProgressiveAccuracy(window=20)
    for batch in batches(stream, 32):
        metric.update(batch)
    right, tail = int(stream.sum()), int(stream[-20:].sum())
    cumulative, window = time_uniform(right, 75), wilson(tail, 20)
    expected = {
        "progressive_accuracy": right / 75,
        "progressive_low": cumulative.low,
        "progressive_high": cumulative.high,
        "window_accuracy": tail / 20,
        "window_low": window.low,
        "window_high": window.high,
        "problems": 75,
        "window_full": 1,
    }
    assert plain(metric) == pytest.approx(expected, abs=1e-6)


def test_batching_does_not_matter() -> None:
    stream = outcomes(50)
    together, single = ProgressiveAccuracy(window=16), ProgressiveAccuracy(window=16)
    together.update(stream)
    for outcome in batches(stream, 1):
        single.update(outcome)
    assert plain(together) == plain(single)


def test_the_window_is_full_only_once_it_holds_its_number_of_problems() -> None:
    metric = ProgressiveAccuracy(window=8)
    metric.update(outcomes(7))
    assert plain(metric)["window_full"] == 0
    assert plain(metric)["window_accuracy"] == plain(metric)["progressive_accuracy"]
    metric.update(outcomes(1))
    assert plain(metric)["window_full"] == 1


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_before_the_first_problem_accuracies_are_unknown() -> None:
    values = plain(ProgressiveAccuracy())
    assert math.isnan(values["progressive_accuracy"]) and math.isnan(values["window_accuracy"])
    assert (values["progressive_low"], values["progressive_high"], values["problems"]) == (0, 1, 0)


def test_a_saved_metric_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    first, second = batches(outcomes(45, seed=1), 25)
    whole, stopped, resumed = (ProgressiveAccuracy(window=30) for _ in range(3))
    whole.update(first)
    whole.update(second)
    stopped.update(first)
    torch.save(stopped.state_dict(), tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed.load_state_dict(loaded)
    resumed.update(second)
    assert plain(resumed) == plain(whole)
    for name, value in stopped.state_dict().items():
        assert torch.equal(loaded[name], value), "update must not write into the checkpoint"


def test_loading_forgets_a_value_computed_before() -> None:
    source, target = ProgressiveAccuracy(), ProgressiveAccuracy()
    source.update(torch.tensor([True, True]))
    target.update(torch.tensor([False, False]))
    assert plain(target)["progressive_accuracy"] == 0
    target.load_state_dict(source.state_dict())
    assert plain(target)["progressive_accuracy"] == 1


def test_reset_forgets_everything() -> None:
    used, fresh = ProgressiveAccuracy(window=8), ProgressiveAccuracy(window=8)
    used.update(outcomes(20, seed=2))
    used.reset()
    for metric in (used, fresh):
        metric.update(outcomes(5, seed=3))
    assert plain(used) == plain(fresh)


def test_rewrites_of_one_seed_widen_the_intervals_and_nothing_else() -> None:
    stream = outcomes(40, seed=5)
    grouped, alone = ProgressiveAccuracy(window=20), ProgressiveAccuracy(window=20)
    grouped.update(stream, groups=torch.arange(40) // 4)
    alone.update(stream, groups=torch.arange(40))
    values, narrow = plain(grouped), plain(alone)
    assert values["progressive_accuracy"] == narrow["progressive_accuracy"]
    assert values["window_accuracy"] == narrow["window_accuracy"]
    right, tail = int(stream.sum()), int(stream[-20:].sum())
    cumulative, window = time_uniform(right, 40, squared_sizes=160), wilson(tail, 20, squared_sizes=80)
    assert (values["progressive_low"], values["progressive_high"]) == pytest.approx(cumulative, abs=1e-6)
    assert (values["window_low"], values["window_high"]) == pytest.approx(window, abs=1e-6)
    ungrouped = ProgressiveAccuracy(window=20)
    ungrouped.update(stream)
    assert plain(ungrouped) == narrow


def test_half_precision_modules_keep_exact_counts() -> None:
    metric = ProgressiveAccuracy()
    metric.update(torch.ones(1001, dtype=torch.bool))
    torch.nn.ModuleList([metric]).to(torch.bfloat16)
    metric.update(torch.ones(2, dtype=torch.bool))
    assert plain(metric)["problems"] == 1003


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.window is 0: give at least 1"):
        ProgressiveAccuracy(window=0)


def test_scores_of_0_and_1_count_as_right_and_wrong_do() -> None:
    stream = outcomes(75)
    told, graded = ProgressiveAccuracy(window=20), ProgressiveAccuracy(window=20)
    told.update(stream)
    graded.update(stream.to(torch.float64))
    assert plain(told) == plain(graded)


def test_the_accuracy_of_graded_answers_is_their_mean_score() -> None:
    stream = torch.tensor([0.0, 0.25, 0.5, 1.0, 0.75], dtype=torch.float64)
    metric = ProgressiveAccuracy(window=3)
    for score in stream:
        metric.update(score[None])
    values = plain(metric)
    assert values["progressive_accuracy"] == 0.5 and values["window_accuracy"] == 0.75
    window, cumulative = wilson(2.25, 3, squares=0.25 + 1 + 0.5625), time_uniform(2.5, 5)
    assert (values["window_low"], values["window_high"]) == pytest.approx(tuple(window))
    assert (values["progressive_low"], values["progressive_high"]) == pytest.approx(tuple(cumulative))

"""What holds together for all callbacks that follow a play."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningModule

import callbacks
from callbacks.watching.play_callback import PlayCallback
from flowdpo_pl.errors import UserError
from tests.callbacks.playing import Playing, fit, trainer

OF_EVALUATION = {"EvaluationProgressBar", "PredictionLog", "TraceLog"}
"""They follow `test` and `predict` (tests/modules/test_evaluation_module.py)."""


def every_callback() -> list[Callback]:
    """All that follow a flow that plays."""
    return [
        callbacks.FlowProgressBar(4),
        callbacks.AccuracyCurve(4),
        callbacks.SampleFlows(2, 4),
        callbacks.TreeLog(),
        callbacks.RunSummary(),
        callbacks.AdapterCheckpoint(4),
    ]


def test_training_with_all_of_them_equals_training_without(tmp_path: Path) -> None:
    plain = fit(tmp_path / "without")
    draw = torch.rand(4)
    watched = fit(tmp_path / "with", *every_callback(), enable_checkpointing=True, enable_progress_bar=True)
    assert torch.equal(draw, torch.rand(4)), "the generator was left where it was"
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, watched.state_dict()[name]), name


def test_a_checkpoint_with_all_their_states_loads_safely(tmp_path: Path) -> None:
    fit(tmp_path, *every_callback(), enable_checkpointing=True, enable_progress_bar=True)
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert {name for name in checkpoint["callbacks"]} == {
        "AdapterCheckpoint",
        "FlowProgressBar",
        "RunSummary",
    }


def test_all_are_exported_by_name() -> None:
    of_sft = {"SFTCheckpoint", "SFTProgressBar", "SFTSummary"}
    named = {type(callback).__name__ for callback in every_callback()}
    assert named | of_sft | OF_EVALUATION == set(callbacks.__all__)


class PlaysNothing(LightningModule):
    """Has what Lightning asks for, and none of what the callbacks follow."""

    def training_step(self, batch: torch.Tensor) -> None:
        raise AssertionError("training has begun")

    def configure_optimizers(self) -> None:
        return None

    def train_dataloader(self) -> list[int]:
        return [1]


@pytest.mark.parametrize("make", [callbacks.AccuracyCurve, callbacks.TreeLog, callbacks.AdapterCheckpoint])
def test_a_module_that_plays_nothing_is_refused_at_once(tmp_path: Path, make: Callable[[], Callback]) -> None:
    with pytest.raises(UserError, match="PlaysNothing plays none: remove the callback"):
        trainer(tmp_path, make(), enable_checkpointing=True).fit(PlaysNothing())


@pytest.mark.parametrize("make", [callbacks.PredictionLog, callbacks.TraceLog])
def test_those_of_evaluation_leave_training_alone(tmp_path: Path, make: Callable[[], Callback]) -> None:
    fit(tmp_path, make())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [callbacks.RunSummary, callbacks.AdapterCheckpoint])
def test_an_error_before_the_run_comes_through_as_itself(
    tmp_path: Path, make: Callable[[], Callback]
) -> None:
    class Broken(Playing):
        def prepare_data(self) -> None:
            raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        trainer(tmp_path, make(), enable_checkpointing=True).fit(Broken())
    assert list(tmp_path.iterdir()) == []


def test_a_batch_set_aside_is_passed_over(tmp_path: Path) -> None:
    """`training_step` may return None for a batch that taught nothing."""

    class SetsAside(Playing):
        def training_step(self, batch: torch.Tensor, batch_idx: int) -> dict[str, float] | None:  # type: ignore[override]
            values = super().training_step(batch, batch_idx)
            return None if self.problems_seen == 8 else values

    fit(tmp_path, *every_callback(), module=SetsAside(), enable_checkpointing=True, enable_progress_bar=True)
    assert (tmp_path / "accuracy_curve.csv").read_text().count("\n") == 1 + 3


def test_an_error_at_the_end_is_not_met_twice(tmp_path: Path) -> None:
    calls: list[BaseException | None] = []

    class Fails(PlayCallback):
        def play_ended(self, module: object, stopped_by: BaseException | None) -> None:
            calls.append(stopped_by)
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fit(tmp_path, Fails())
    assert calls == [None]

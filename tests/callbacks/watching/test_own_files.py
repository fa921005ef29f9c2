"""Callbacks that would write the same files are refused where they meet, also in a trainer made in Python."""

from __future__ import annotations

from pathlib import Path

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks import AccuracyCurve, AdapterCheckpoint, PredictionLog, SampleFlows, TreeLog
from callbacks.watching.batch_values import BatchValues
from callbacks.watching.own_files import OwnFiles
from callbacks.watching.play_callback import PlayCallback
from callbacks.watching.watched_modules import PlayedModule
from flowdpo_pl.errors import UserError
from tests.callbacks.playing import fit, validate


class MyTreeLog(TreeLog):
    """Another one for the same file."""


@pytest.mark.parametrize("run", [fit, validate])
@pytest.mark.parametrize(
    ("one", "other", "file"),
    [
        (TreeLog(), TreeLog(), "trees.jsonl and trees.parquet"),
        (TreeLog(), MyTreeLog(), "trees.jsonl and trees.parquet"),
        (MyTreeLog(), TreeLog(), "trees.jsonl and trees.parquet"),
        (AccuracyCurve(8), AccuracyCurve(16), "accuracy_curve.csv and accuracy_curve.png"),
        (SampleFlows(n=1), SampleFlows(n=2), "samples"),
    ],
)
def test_two_for_one_file_are_refused_by_name(
    run: type, one: Callback, other: Callback, file: str, tmp_path: Path
) -> None:
    names = f"{type(one).__name__} and {type(other).__name__}"
    with pytest.raises(UserError, match=f"{names}, which both write {file}: leave one"):
        run(tmp_path, one, other)
    assert not (tmp_path / "trees.jsonl and trees.parquet").exists()


class Counts(PlayCallback):
    """Writes nothing."""

    def __init__(self) -> None:
        self.batches = 0

    def batch_played(self, module: PlayedModule, values: BatchValues) -> None:
        self.batches += 1


def test_two_that_write_nothing_may_stand_beside_each_other(tmp_path: Path) -> None:
    one, other = Counts(), Counts()
    fit(tmp_path, one, other, TreeLog(), AccuracyCurve())
    assert one.batches == other.batches > 0


def test_lightning_s_checkpoints_do_not_stand_beside_ours(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="AdapterCheckpoint and ModelCheckpoint"):
        fit(tmp_path, AdapterCheckpoint(), ModelCheckpoint(), enable_checkpointing=True)


def test_the_logs_of_evaluations_say_what_is_theirs() -> None:
    assert issubclass(PredictionLog, OwnFiles) and PredictionLog.files

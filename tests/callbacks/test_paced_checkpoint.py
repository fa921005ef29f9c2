"""The pace, what an exception saves, and that nothing is half written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.pace import Pace
from callbacks.paced_checkpoint import PacedCheckpoint, write_checkpoint
from tests.callbacks.playing import Playing, Stopped, fit, stop_at, trainer


class Positions(PacedCheckpoint):
    """Keeps when it was asked to save."""

    def __init__(self, every: int, fails_at: int | None = None) -> None:
        super().__init__(Pace(every))
        self.saved: list[int] = []
        self.fails_at = fails_at

    def follow(self, module: LightningModule) -> None:
        assert isinstance(module, Playing)
        self.module = module

    def position(self, trainer: Trainer) -> int:
        return self.module.problems_seen

    def save(self, trainer: Trainer) -> None:
        self.saved.append(self.module.problems_seen)
        if self.saved[-1] == self.fails_at:
            raise Stopped

    def newest(self) -> str:
        return f"that of {self.saved}"


def run(folder: Path, callback: Positions, module: Playing, **options: Any) -> list[int]:
    fit(folder, callback, module=module, enable_checkpointing=True, **options)
    return callback.saved


class StopBetween(Playing):
    """Stops after a batch."""

    def __init__(self, problems: int) -> None:
        super().__init__()
        self.problems = problems

    def on_train_batch_end(self, *args: Any) -> None:
        if self.problems_seen == self.problems:
            raise Stopped


def test_it_saves_at_its_pace_and_at_the_end(tmp_path: Path) -> None:
    assert run(tmp_path, Positions(8), Playing(max_problems=20)) == [8, 16, 20]


def test_the_pace_goes_on_after_a_resume(tmp_path: Path) -> None:
    first = trainer(tmp_path)
    first.fit(Playing(max_problems=8))
    first.save_checkpoint(tmp_path / "part.ckpt")
    saved = run(tmp_path, Positions(8), Playing(max_problems=12), ckpt_path=tmp_path / "part.ckpt")
    assert saved == [12], "8 was passed before"


def test_an_exception_between_batches_saves(tmp_path: Path) -> None:
    callback = Positions(8)
    with pytest.raises(Stopped):
        run(tmp_path, callback, StopBetween(12))
    assert callback.saved == [8, 12]


def test_an_exception_inside_a_batch_saves_nothing_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = Positions(8)
    with pytest.raises(Stopped):
        run(tmp_path, callback, Playing(before_batch=stop_at(12)))
    assert callback.saved == [8]
    assert "Stopped inside a batch; the newest checkpoint is that of [8]." in capsys.readouterr().out


@pytest.mark.parametrize(("ranks", "saved"), [(1, [4]), (2, [])])
def test_with_several_ranks_an_exception_saves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranks: int, saved: list[int]
) -> None:
    callback, module, runner = Positions(8), Playing(), trainer(tmp_path)
    callback.setup(runner, module, "fit")
    module.problems_seen = 4
    callback.on_train_batch_end(runner, module, {}, None, 0)
    monkeypatch.setattr(Trainer, "world_size", ranks)
    callback.on_exception(runner, module, Stopped())
    assert callback.saved == saved


def test_a_run_that_has_trained_nothing_is_not_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Playing):
        def on_train_start(self) -> None:
            raise Stopped

    callback = Positions(8)
    with pytest.raises(Stopped):
        run(tmp_path, callback, Broken())
    assert callback.saved == [] and "Stopped inside" not in capsys.readouterr().out


def test_saving_that_fails_is_not_tried_again(tmp_path: Path) -> None:
    callback = Positions(8, fails_at=8)
    with pytest.raises(Stopped):
        run(tmp_path, callback, Playing())
    assert callback.saved == [8]


@pytest.mark.parametrize("place", [".", "checkpoints", "adapters"])
def test_a_fit_removes_what_a_killed_one_left_half_written(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / ".last.ckpt.partial").touch()
    (tmp_path / place / ".answer.partial").mkdir()
    run(tmp_path, Positions(8), Playing())
    assert not list(tmp_path.rglob("*.partial"))


def test_a_checkpoint_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = trainer(tmp_path)
    runner.fit(Playing(max_problems=8))
    path = tmp_path / "checkpoints" / "last.ckpt"
    with monkeypatch.context() as patch:

        def killed(*args: Any) -> None:
            raise Stopped

        patch.setattr(os, "replace", killed)
        with pytest.raises(Stopped):
            write_checkpoint(runner, path)
    assert not path.exists()
    write_checkpoint(runner, path)
    assert torch.load(path, weights_only=True)["cursor"] == 8

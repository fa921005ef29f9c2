"""The pace, what exceptions and signals save, and that nothing is half written.

Also tests `callbacks.files.interruption`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from callbacks.files.paced_checkpoint import PacedCheckpoint, write_checkpoint
from callbacks.watching.pace import Pace
from flowdpo_pl.errors import Interrupted
from tests.callbacks.playing import Playing, Stopped, fit, stop_at, trainer


class Positions(PacedCheckpoint):
    """Keeps when it was asked to save."""

    def __init__(self, every: int, fails_at: int | None = None) -> None:
        super().__init__(Pace(every))
        self.saved: list[int] = []
        self.fails_at = fails_at

    def follow(self, module: LightningModule) -> Playing:
        assert isinstance(module, Playing)
        self.module = module
        return module

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


def test_an_exception_while_a_batch_is_played_saves_the_boundary(tmp_path: Path) -> None:
    callback = Positions(8)
    with pytest.raises(Stopped):
        run(tmp_path, callback, Playing(while_played=stop_at(12)))
    assert callback.saved == [8, 12]


def send(number: int, *where: int) -> Callable[[int], None]:
    """Ends this process as often as `where` names the problems seen."""

    def check(seen: int) -> None:
        for _ in range(where.count(seen)):
            os.kill(os.getpid(), number)

    return check


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_batch_is_played_saves_at_once_and_ends_the_run_after_the_batch(
    number: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    callback = Positions(8)
    with pytest.raises(Interrupted) as ended:
        run(tmp_path, callback, Playing(while_played=send(number, 4)))
    assert ended.value.code == 128 + number
    assert callback.saved == [4, 8, 8], "at the signal, at its pace, and when the run ends"
    assert "asked to end: saved (that of [4]); the batch is finished;" in capfd.readouterr().err
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_signal_while_a_batch_is_learnt_keeps_the_boundary_before_it_until_the_batch_is_done(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    callback = Positions(8)
    with pytest.raises(Interrupted):
        run(tmp_path, callback, Playing(before_batch=send(signal.SIGTERM, 8)))
    assert callback.saved == [8, 12]
    told = capfd.readouterr().err
    assert "asked to end: the batch is learnt first and saved" in told and "checkpoint (that of [8])" in told


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    played, learnt = Positions(8), Positions(8)
    with pytest.raises(Interrupted):
        run(tmp_path / "a", played, Playing(while_played=send(signal.SIGTERM, 12, 12)))
    with pytest.raises(Interrupted):
        run(tmp_path / "b", learnt, Playing(before_batch=send(signal.SIGTERM, 12, 12)))
    assert (played.saved, learnt.saved) == ([8, 12, 12], [8])


def test_a_development_run_saves_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, Positions(4), Playing(), fast_dev_run=2) == []


@pytest.mark.parametrize(("ranks", "saved"), [(1, [4]), (2, [])])
def test_with_several_ranks_an_exception_saves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranks: int, saved: list[int]
) -> None:
    callback, module, runner = Positions(8), Playing(), trainer(tmp_path)
    callback.setup(runner, module, "fit")
    callback.on_train_start(runner, module)
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

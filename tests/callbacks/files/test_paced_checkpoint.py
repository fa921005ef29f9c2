"""The pace, what exceptions and signals save, and that nothing is half written.

Also tests `callbacks.files.interruption` and `callbacks.files.slurm_job`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy

from callbacks.files.paced_checkpoint import PacedCheckpoint, write_checkpoint
from callbacks.files.slurm_job import SlurmJob
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


class Other(SingleDeviceStrategy):
    """Of a rank beside another one, which says whether it was asked to end, and to be requeued."""

    is_global_zero = True
    others: Sequence[bool] = ()

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        assert not all
        said, *self.others = (*self.others, False)
        return decision or said


@pytest.mark.parametrize("first", [True, False])
def test_of_several_ranks_the_first_saves_after_an_exception(first: bool, tmp_path: Path) -> None:
    callback, module, runner = Positions(8), Playing(), trainer(tmp_path, strategy=Other())
    runner.strategy.is_global_zero = first  # type: ignore[misc]
    callback.setup(runner, module, "fit")
    callback.on_train_start(runner, module)
    module.problems_seen = 4
    callback.on_train_batch_end(runner, module, {}, None, 0)
    callback.on_exception(runner, module, Stopped())
    assert callback.saved == ([4] if first else [])


def test_a_rank_ends_after_the_batch_in_which_another_one_was_asked(tmp_path: Path) -> None:
    strategy = Other()
    strategy.others = (False, False, True)  # at the beginning and the end of each batch
    callback = Positions(100)
    with pytest.raises(Interrupted):
        run(tmp_path, callback, Playing(), strategy=strategy)
    assert callback.saved == [4]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A job that `srun` has started; what its stand-in of `scontrol` was asked is in the file."""
    asked, stand_in = tmp_path / "asked", tmp_path / "bin" / "scontrol"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    for name, value in {
        **{"NTASKS": "1", "JOB_ID": "1234", "JOB_NAME": "flow", "PROCID": "0", "LOCALID": "0", "NODEID": "0"},
        **{"NNODES": "1", "NODELIST": "localhost", "NTASKS_PER_NODE": "1"},
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    handler = signal.getsignal(signal.SIGUSR1)
    yield asked
    signal.signal(signal.SIGUSR1, handler)


def test_a_slurm_job_that_is_to_end_is_saved_at_the_boundary_and_requeued_at_once(
    slurm: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    requeued_after: list[int] = []

    def look(seen: int) -> None:
        if seen == 12:
            requeued_after.append(callback.saved[-1] if slurm.exists() else -1)

    callback = Positions(8)
    module = Playing(while_played=send(signal.SIGUSR1, 12), before_batch=look)
    with pytest.raises(Interrupted) as ended:
        run(tmp_path / "run", callback, module)
    assert ended.value.code == 128 + signal.SIGUSR1
    assert requeued_after == [12] and slurm.read_text() == "requeue 1234\n"
    assert "saved (that of [8, 12]); job 1234 is requeued; the batch" in capfd.readouterr().err
    assert not list(tmp_path.rglob("hpc_ckpt*")), "nothing of Lightning's own"


def test_a_slurm_job_is_requeued_after_the_batch_that_is_being_learnt(slurm: Path, tmp_path: Path) -> None:
    def look(seen: int) -> None:
        send(signal.SIGUSR1, 4)(seen)
        assert not slurm.exists(), "nothing half learnt is saved"

    callback = Positions(100)
    with pytest.raises(Interrupted):
        run(tmp_path / "run", callback, Playing(before_batch=look))
    assert callback.saved[0] == 8 and slurm.read_text() == "requeue 1234\n"


def test_a_slurm_job_of_an_array_goes_by_both_numbers_and_one_that_ends_before_training_is_requeued(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loading(Playing):
        def on_fit_start(self) -> None:
            os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "5")
    callback = Positions(8)
    with pytest.raises(Interrupted):
        run(tmp_path / "run", callback, Loading())
    assert callback.saved == [] and slurm.read_text() == "requeue 77_5\n"


def test_a_cancelled_slurm_job_is_saved_and_does_not_come_back(slurm: Path, tmp_path: Path) -> None:
    callback = Positions(8)
    with pytest.raises(Interrupted):
        run(tmp_path / "run", callback, Playing(while_played=send(signal.SIGTERM, 4)))
    assert callback.saved[0] == 4 and not slurm.exists()


def test_a_scontrol_that_is_missing_or_refuses_is_told(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / "scontrol").write_text("#!/bin/sh\necho no such job >&2; exit 1\n")
    assert SlurmJob("9").requeue() == "job 9 is not requeued: scontrol says no such job"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "job 9 is not requeued: scontrol can't be run" in SlurmJob("9").requeue()


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

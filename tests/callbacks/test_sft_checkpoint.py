"""Refusals and messages; what it writes is held by tests/modules/test_sft_module.py, in real runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from callbacks import SFTCheckpoint, SFTSummary
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.checkpoint_files import is_whole
from tests.callbacks.playing import Stopped, fit
from tests.callbacks.test_sft_summary import STEPS, Taught
from tests.runs import trainer


@pytest.mark.parametrize("callback", [SFTCheckpoint, SFTSummary])
def test_a_module_that_plays_is_refused(callback: type, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{callback.__name__} follows a module that learns from traces"):
        fit(tmp_path, callback(), enable_checkpointing=True)


def test_stopped_inside_a_batch_it_names_the_newest_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = tmp_path / "checkpoints" / "last.ckpt"

    def told(stop_at: int | None, checkpoint: SFTCheckpoint) -> str:
        runner = trainer(tmp_path, checkpoint, enable_checkpointing=True)
        runner.fit_loop.max_epochs = 1
        with suppress(Stopped):
            runner.fit(Taught([STEPS], stop_at))
        return capsys.readouterr().out

    assert "the newest checkpoint is none." in told(1, SFTCheckpoint()) and not last.exists()
    whole = SFTCheckpoint()
    assert "Stopped inside a batch" not in told(None, whole) and whole.newest().startswith(f"{last}, after ")
    assert "the newest checkpoint is none." in told(1, SFTCheckpoint()), "the file is another run's"
    resumed = SFTCheckpoint()
    resumed.load_state_dict(whole.state_dict())
    assert f"the newest checkpoint is {last}, after " in told(1, resumed)


def test_a_spoilt_checkpoint_does_not_take_the_place_of_the_whole_one_before_it(tmp_path: Path) -> None:
    def run() -> None:
        """Saves once, at its end."""
        runner = trainer(tmp_path, SFTCheckpoint(every_n_steps=10_000), enable_checkpointing=True)
        runner.fit_loop.max_epochs = 1
        runner.fit(Taught([STEPS], None))

    last, previous = (tmp_path / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous"))
    run()
    first = last.read_bytes()
    run()
    assert previous.read_bytes() == first
    last.write_bytes(last.read_bytes()[:-100])
    run()
    assert is_whole(last) and previous.read_bytes() == first


def test_a_pace_must_be_positive() -> None:
    with pytest.raises(UserError, match="every_n_steps is 0: give at least 1"):
        SFTCheckpoint(every_n_steps=0)

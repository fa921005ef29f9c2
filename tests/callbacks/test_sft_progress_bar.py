"""Steps of fine-tuning: in a log file a plain line, on a terminal a bar. What the line does is in
test_progress_line.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import rich
from rich.console import Console

from callbacks import SFTProgressBar
from flowdpo_pl.errors import UserError
from tests.modules.test_sft_module import data, module, trainer
from tests.runs import module as flow


def fit(folder: Path, bar: SFTProgressBar, epochs: int = 3) -> None:
    """22 traces in 6 batches, of which 2 make a step: 3 steps an epoch."""
    runner = trainer(folder, bar, max_epochs=epochs, enable_progress_bar=True)
    runner.fit(module(accumulation=2), data(folder))


def test_in_a_log_file_there_is_a_line_now_and_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path, SFTProgressBar(every_n_steps=4))
    printed = [line for line in capsys.readouterr().out.splitlines() if "steps |" in line]
    counts, losses = zip(*(line.split(" | ")[:2] for line in printed), strict=True)
    assert counts == ("fit 4/9 steps", "fit 8/9 steps", "fit 9/9 steps")
    assert all(float(loss.removeprefix("loss ")) > 0 for loss in losses)
    assert printed[0].endswith(" left") and " steps/s, " in printed[0] and " tokens/s | " in printed[0]
    assert "epoch 3" in printed[-1]


def test_on_a_terminal_there_is_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(force_terminal=True, width=80)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    fit(tmp_path, SFTProgressBar(), epochs=1)
    printed = capsys.readouterr().out
    assert "3/3" in printed and "━━━━━" in printed and "loss" in printed


def test_a_flow_is_not_its_own(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="SFTProgressBar follows a module that learns from traces"):
        SFTProgressBar().setup(trainer(tmp_path), flow(), "fit")
    with pytest.raises(UserError, match="every_n_steps is 0"):
        SFTProgressBar(0)

"""What other libraries say on a normal run is left out by its text alone; everything else is still said."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from flowdpo_pl.quiet import LOGGED, bars_on_a_terminal, quiet

ROOT = Path(__file__).parents[1]
RUN = """
import warnings
import flowdpo_pl
from lightning.pytorch import Trainer, seed_everything
from tests.callbacks.playing import Playing
seed_everything(3)
Trainer(
    max_epochs=1, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
    enable_checkpointing=False, default_root_dir={folder!r}, limit_val_batches=0,
).fit(Playing())
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
rank_zero_info("a word of ours")
rank_zero_warn("a real warning")
"""


def test_a_trainer_of_one_s_own_is_quiet_too_and_real_warnings_stay(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(folder=str(tmp_path))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert lines[0] == "a word of ours", lines
    assert len(lines) == 2 and lines[1].endswith("a real warning")


@pytest.mark.parametrize("logger", LOGGED)
def test_a_logger_s_other_words_are_kept(logger: str, caplog: pytest.LogCaptureFixture) -> None:
    quiet()  # twice is once
    with caplog.at_level(logging.INFO, logger=logger):
        logging.getLogger(logger).addHandler(caplog.handler)
        logging.getLogger(logger).info("GPU memory is short")
        logging.getLogger(logger).info("GPU available: False, used: False")
        logging.getLogger(logger).info("Failed to load CPU gemm: no kernels")
        logging.getLogger(logger).info("MatMul8bitLt: inputs will be cast from bfloat16")
        logging.getLogger(logger).info("Ignoring clean_up_tokenization_spaces=True for BPE tokenizer")
        logging.getLogger(logger).removeHandler(caplog.handler)
    said = {record.getMessage() for record in caplog.records}
    assert "GPU memory is short" in said and len(said) == 4, "of the four notices just its own is left out"


def test_a_filter_of_the_user_s_own_applies_first() -> None:
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("error")
        quiet()
        with pytest.raises(UserWarning):
            warnings.warn("Found 3 module(s) in eval mode", stacklevel=1)
        warnings.resetwarnings()
        quiet()
        warnings.warn("Found 3 module(s) in eval mode", stacklevel=1)


def test_bars_are_shown_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging as bars

    def count() -> str:
        list(bars.tqdm(range(3), desc="Loading weights"))
        return capsys.readouterr().err

    bars.enable_progress_bar()
    with bars_on_a_terminal():
        assert count() == ""
    assert "Loading weights" in count(), "afterwards all is as it was"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with bars_on_a_terminal():
        assert "Loading weights" in count()

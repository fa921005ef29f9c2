"""Refusals; what the two callbacks write is held by tests/test_sft_module.py, through real runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from callbacks import SFTCheckpoint, SFTSummary
from flowdpo_pl.errors import UserError
from tests.callbacks.playing import fit


@pytest.mark.parametrize("callback", [SFTCheckpoint, SFTSummary])
def test_a_module_that_plays_is_refused(callback: type, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{callback.__name__} follows a module that learns from traces"):
        fit(tmp_path, callback(), enable_checkpointing=True)


def test_a_pace_must_be_positive() -> None:
    with pytest.raises(UserError, match="every_n_steps is 0: give at least 1"):
        SFTCheckpoint(every_n_steps=0)

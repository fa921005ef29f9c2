"""A command line that replaces a config's callbacks says so."""

from __future__ import annotations

import pytest

from flowdpo_pl.command_line.told_callbacks import told_callbacks
from tests.runs import ROOT

CONFIG = f"--config={ROOT / 'configs' / 'quickstart.yaml'}"
LEFT = "FlowProgressBar, AdapterCheckpoint, AccuracyCurve, SampleFlows, RunSummary"


@pytest.mark.parametrize(
    "given",
    [
        ["--trainer.callbacks=callbacks.TreeLog"],
        ["--trainer.callbacks", "TreeLog"],
        ["--trainer.callbacks=[callbacks.TreeLog]"],
        ["--trainer.callbacks={class_path: callbacks.TreeLog}"],
    ],
)
def test_what_is_left_out_is_named_with_the_way_to_keep_it(given: list[str]) -> None:
    assert told_callbacks([CONFIG, *given]) == (
        f"--trainer.callbacks stands for the whole list: TreeLog without {LEFT} of the config; "
        "--trainer.callbacks+=TreeLog adds to it"
    )


@pytest.mark.parametrize(
    "words",
    [
        [CONFIG],
        [CONFIG, "--trainer.callbacks+=callbacks.TreeLog"],
        [CONFIG, "--trainer.callbacks=null"],
        [CONFIG, "--trainer.callbacks=[]"],
        ["--trainer.callbacks=callbacks.TreeLog"],
        [CONFIG, f"--trainer.callbacks=[{LEFT}, TreeLog]"],
    ],
)
def test_where_nothing_is_left_out_or_all_is_on_purpose_nothing_is_said(words: list[str]) -> None:
    assert told_callbacks(words) is None

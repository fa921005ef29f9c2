"""The verb `plan`. Also tests `modules.probe`."""

from __future__ import annotations

import json

import pytest

from flowdpo_pl.verbs.plan import plan
from tests.runs import ROOT


@pytest.mark.parametrize(
    ("config", "verb"),
    [
        ("configs/quickstart.yaml", "fit"),
        ("configs/quickstart_study/sft.yaml", "fit"),
        ("configs/quickstart_study/collect.yaml", "predict"),
        ("configs/quickstart_study/evaluate.yaml", "test"),
    ],
)
def test_every_verb_of_the_quickstart_is_planned_before_its_files_are_there(
    config: str, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    plan([f"--config={config}"], card="l4", json=True)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["verb"] == verb and told["fits"]
    assert told["typical"]["needs"] <= told["at_most"]["needs"]
    assert bool(told["at_most"]["memory"]["optimizer"]) == (verb == "fit")


def test_a_probe_measures_two_batches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    plan(["--config=configs/quickstart.yaml", "--data.batch_size=4"], probe=True, json=True)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["measured"]
    assert told["batch_size"] == 4 and set(told["phases"]) == {"play", "score", "update"}
    assert told["run_seconds"] > told["batch_seconds"]


@pytest.mark.parametrize("ranks", [["--trainer.devices=4"], ["--trainer.devices=2", "--trainer.num_nodes=2"]])
def test_ranks_share_a_batch(
    ranks: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    needs = []
    for given in (["--data.batch_size=8"], ["--data.batch_size=32", *ranks]):
        plan(["--config=configs/quickstart.yaml", *given], card="l4", json=True)
        needs.append(json.loads(capsys.readouterr().out.splitlines()[-1])["at_most"]["needs"])
    assert needs[0] == needs[1]

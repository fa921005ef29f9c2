import json
import os
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger

from callbacks import AccuracyCurve, AdapterCheckpoint, RunSummary
from flowdpo_pl.measure.tree_statistics import tree_statistics
from tests.callbacks.playing import Playing, Stopped, fit, stop_at, trainer, validate
from tests.example_trees import random_tree


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def test_the_whole_run_is_in_it(tmp_path: Path) -> None:
    module = fit(tmp_path, RunSummary())
    expected = tree_statistics([random_tree(problem) for problem in range(16)], ("answer", "stop"))
    found = summary(tmp_path)
    assert (found["verb"], found["ended"], found["problems_seen"]) == ("fit", "finished", 16)
    final = module.accuracy.compute()
    for name in ("progressive_accuracy", "progressive_low", "window_accuracy", "window_high"):
        assert found[name] == final[name].item()
    assert found["pairs"] == {agent: expected[f"{agent}/pairs"] for agent in ("answer", "stop")}
    assert found["ties"] == {
        agent: {
            kind: expected[f"{agent}/ties/{kind}"] for kind in ("both_right", "both_wrong", "no_alternative")
        }
        for agent in ("answer", "stop")
    }
    assert {phase: found["seconds"][phase] for phase in ("play", "score", "update")} == {
        "play": 2.0,
        "score": 1.0,
        "update": 0.5,
    }
    assert found["seconds"]["total"] > 0
    assert (found["generated_tokens"], found["generated_tokens_per_second"]) == (400, 200.0)
    assert found["peak_memory_bytes"] == 1016
    assert found["seed"] == 7 and found["identity"]["base"] == "none"
    assert {"python", "torch", "lightning", "transformers", "peft", "flowdpo_pl"} <= set(found["versions"])
    assert found["latest"]["chooser/early_rate"] is None, "unknown numbers are null"
    assert "chunks_per_answer" in found["latest"] and "answer/pairs" not in found["latest"]


def test_validate_has_its_own(tmp_path: Path) -> None:
    validate(tmp_path, RunSummary())
    found = summary(tmp_path)
    assert (found["verb"], found["problems_seen"], found["generated_tokens"]) == ("validate", 16, 400)


def test_validating_a_checkpoint_does_not_count_what_its_fit_did(tmp_path: Path) -> None:
    fit(tmp_path, RunSummary(), AdapterCheckpoint(8), enable_checkpointing=True)
    runner = trainer(tmp_path / "validate", RunSummary(), limit_val_batches=1.0)
    last = tmp_path / "checkpoints" / "last.ckpt"
    runner.validate(Playing(max_problems=8), ckpt_path=last, verbose=False, weights_only=True)
    assert summary(tmp_path / "validate")["generated_tokens"] == 200


def test_sums_survive_a_resume(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    fit(whole, RunSummary())
    parts = tmp_path / "parts"
    with pytest.raises(Stopped):
        module = Playing(before_batch=stop_at(12))
        fit(parts, RunSummary(), AdapterCheckpoint(8), module=module, enable_checkpointing=True)
    stopped = summary(parts)
    assert (stopped["ended"], stopped["problems_seen"]) == ("Stopped", 12)
    fit(parts, RunSummary(), ckpt_path=parts / "checkpoints" / "last.ckpt")
    one, two = summary(whole), summary(parts)
    for found in (one, two):
        del found["seconds"]["total"]
    assert one == two


def test_killed_while_writing_leaves_the_old_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(tmp_path, RunSummary())
    before = (tmp_path / "summary.json").read_bytes()

    def killed(*args: Any) -> None:
        raise Stopped

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Stopped):
        fit(tmp_path, RunSummary(), module=Playing(max_problems=8))
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    assert (tmp_path / "summary.json").read_bytes() == before


def test_it_prints_where_the_products_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path, RunSummary(), AccuracyCurve(), AdapterCheckpoint(), enable_checkpointing=True)
    printed = capsys.readouterr().out
    assert "right, all problems" in printed
    for product in ("summary.json", "accuracy_curve.csv", "adapters", "checkpoints"):
        assert f"{tmp_path / product}\n" in printed


def test_it_lies_in_the_loggers_folder_if_there_is_one(tmp_path: Path) -> None:
    runner = trainer(tmp_path, RunSummary())
    runner.loggers = [CSVLogger(tmp_path, name="log", version="one")]
    runner.fit(Playing())
    assert summary(tmp_path / "log" / "one")["problems_seen"] == 16

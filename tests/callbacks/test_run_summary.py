"""What the file and the table hold.

Also tests `callbacks.summary.fit_report` and `callbacks.summary.validate_report`.
"""

import json
import logging
import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from callbacks import AccuracyCurve, AdapterCheckpoint, RunSummary
from flowdpo_pl.measure.intervals import wilson
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
            kind: expected[f"{agent}/ties/{kind}"]
            for kind in ("both_right", "both_wrong", "repeated", "no_alternative")
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
    assert found["latest"]["chooser/late_rate"] is None, "unknown numbers are null"
    assert found["chooser"]["early"] == 8 and found["chooser"]["early_rate"] == 8 / 16
    assert found["chooser"]["late_rate"] is None and found["chooser"]["cut_rate"] == 4 / 16
    pairs = [
        tree_statistics([random_tree(number) for number in range(start, start + 4)], ("answer",))[
            "answer/pairs"
        ]
        for start in range(0, 16, 4)
    ]
    mean = sum(n * margin for n, margin in zip(pairs, (0.4, 0.8, 1.2, 1.6), strict=True)) / sum(pairs)
    assert found["margins"] == {"answer": pytest.approx(mean)}, "of the run's pairs; stop has learnt nothing"
    assert found["latest"]["answer/margin"] == 1.6
    over = {name for names in found["over"] for name in names.split(", ")}
    numbers = {name for name, value in found.items() if isinstance(value, (int, float, dict))}
    facts = {"problems_seen", "seed", "versions", "identity", "over", "peak_memory_bytes"}
    derived = {"generated_tokens_per_second", *(n for n in numbers if n.endswith(("_low", "_high")))}
    assert numbers - facts - derived <= over, "it says what each number is over"
    assert "chunks_per_answer" in found["latest"] and "answer/pairs" not in found["latest"]


def test_validate_has_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = validate(tmp_path, RunSummary())
    found = summary(tmp_path)
    assert (found["verb"], found["problems_seen"], found["generated_tokens"]) == ("validate", 16, 400)
    expected = module.accuracy.compute()
    assert [found[name] for name in ("accuracy", "low", "high")] == [
        expected[name].item() for name in ("accuracy", "low", "high")
    ]
    right = round(16 * found["accuracy"])
    of_test = wilson(right, 16)
    assert (found["low"], found["high"]) == pytest.approx((of_test.low, of_test.high)), "as of `test`"
    of_training = {"pairs", "ties", "margins", "latest", "progressive_accuracy", "window_accuracy"}
    assert not of_training & found.keys()
    assert set(found["seconds"]) == {"play", "total"}
    printed = capsys.readouterr().out
    assert "right" in printed and "chooser" in printed
    assert not any(word in printed for word in ("pairs", "ties", "margin", "score", "update", "latest"))


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
    for product in ("summary.json", "accuracy_curve.csv", "adapters/last", "checkpoints/last.ckpt"):
        assert f"{tmp_path / product}\n" in printed
    assert "next:" not in printed, "without a config.yaml there is no command to go on with"


@pytest.mark.parametrize("stopped", [False, True])
def test_it_prints_the_commands_that_follow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stopped: bool
) -> None:
    folder = tmp_path / "a run"
    folder.mkdir()
    (folder / "config.yaml").touch()
    module = Playing(before_batch=stop_at(12 if stopped else -1))
    with suppress(Stopped):
        fit(folder, AdapterCheckpoint(4), RunSummary(), module=module, enable_checkpointing=True)
    lines = capsys.readouterr().out.splitlines()
    commands = [
        shlex.split(line.partition(" -m flowdpo_pl ")[2]) for line in lines if " -m flowdpo_pl " in line
    ]
    config, checkpoint = str(folder / "config.yaml"), str(folder / "checkpoints" / "last.ckpt")
    assert commands == (
        [["fit", "--config", config, "--ckpt_path", checkpoint]]
        if stopped
        else [
            ["test", "--run", str(folder), "--data.test.path=PROBLEMS.jsonl"],
            ["ask", str(folder)],
            ["export", str(folder), "--output", "models/a run"],
        ]
    )


def test_the_table_fits_eighty_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path, RunSummary())
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert all(len(line) <= 80 for line in table)
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in table}
    assert rows["chooser"] == "early 50.0%, late unknown, cut 25.0%"
    assert {"ties, both right", "ties, both wrong", "margin, mean of pairs"} <= rows.keys()
    assert rows["margin, last batch"] == "answer +1.60"


def test_it_lies_in_the_loggers_folder_if_there_is_one(tmp_path: Path) -> None:
    runner = trainer(tmp_path, RunSummary())
    runner.loggers = [CSVLogger(tmp_path, name="log", version="one")]
    runner.fit(Playing())
    assert summary(tmp_path / "log" / "one")["problems_seen"] == 16


class Unjudged(Playing):
    """Whose verifier fails on half of the answers."""

    def play(self, batch: torch.Tensor) -> dict[str, float]:
        played = super().play(batch)
        return {
            **played,
            "problems": 100.0,
            "judged_answers": 400.0,
            "judging_errors": 200.0,
            "judging_timeouts": 0.0,
        }


class Heard(logging.Handler):
    """What a logger is told, whether or not it hands it on."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def test_why_it_may_not_learn_is_in_log_table_and_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger, heard = logging.getLogger("lightning.pytorch"), Heard()
    logger.addHandler(heard)
    try:
        fit(tmp_path, RunSummary(look_every_n_problems=4), module=Unjudged())
    finally:
        logger.removeHandler(heard)
    (finding,) = summary(tmp_path)["findings"]
    assert finding["name"] == "not_judged" and finding["sentence"].startswith("50.0% of the answers")
    assert "in the way, 1" in capsys.readouterr().out
    said = [message for message in heard.messages if "why it may not learn" in message]
    assert said == [f"why it may not learn (not_judged): {finding['sentence']}. Try: {finding['try']}."]


def test_a_run_without_findings_has_an_empty_list(tmp_path: Path) -> None:
    fit(tmp_path, RunSummary())
    assert summary(tmp_path)["findings"] == []

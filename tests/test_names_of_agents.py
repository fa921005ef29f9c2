"""Agents are called as their flow calls them, in every verb and file: nothing else knows a name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowdpo_pl.__main__ import _run as run
from tests.runs import ROOT

TEAM = """
model:
  init_args:
    team:
      base: {path: quickstart/model, dtype: float32}
      prompts:
        x: {user: "{question}"}
        y: {user: "{question} Draft: {partial} Finished?", options: ["Yes", "No"]}
      flow: {class_path: tests.relay.PairFlow}
      budget: {cpu_threads: 1}
"""
PROBLEMS = "quickstart/problems"


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(ROOT)
    (tmp_path / "team.yaml").write_text(TEAM)
    return f"--config={tmp_path / 'team.yaml'}"


def test_two_agents_called_x_and_y_go_through_every_verb(
    team: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def written_to(name: str) -> str:
        return f"--trainer.logger.init_args={{save_dir: {tmp_path}, name: {name}}}"

    marked = "--model.verifier=flowdpo_pl.MarkedAnswerVerifier"
    online = ["--model=flowdpo_pl.FlowDPOModule", team, marked, "--data=flowdpo_pl.PromptDataModule"]
    online += [f"--data.train.path={PROBLEMS}/train.jsonl", "--data.batch_size=8", "--model.max_problems=16"]
    callbacks = ("AdapterCheckpoint", "AccuracyCurve", "TreeLog", "RunSummary", "SampleFlows")
    extra = [f"--trainer.callbacks+=callbacks.{name}" for name in callbacks]
    extra += ["--trainer.callbacks.every_n_problems=8"]
    run(["fit", *online, *extra, "--trainer.accelerator=cpu", written_to("fit")])
    adapters = tmp_path / "fit" / "adapters" / "last"
    assert sorted(path.name for path in adapters.iterdir()) == ["x", "y"]
    summary = json.loads((tmp_path / "fit" / "summary.json").read_text())
    assert "x/pairs" in json.dumps(summary) or "x" in json.dumps(summary)
    (sample,) = list((tmp_path / "fit" / "samples").glob("*.md"))[-1:]
    assert "**x** writes:" in sample.read_text() and "**y** chooses" in sample.read_text()

    valid = [f"--data.validation.path={PROBLEMS}/valid.jsonl", "--trainer.limit_val_batches=2"]
    run(["validate", *online, *valid, "--trainer.accelerator=cpu", written_to("validate"),
         f"--ckpt_path={tmp_path / 'fit/checkpoints/last.ckpt'}"])  # fmt: skip

    start = f"--model.team.start.adapters={{x: {adapters / 'x'}, y: {adapters / 'y'}}}"
    judged = [
        "--model=flowdpo_pl.EvaluationModule",
        team,
        marked,
        "--data=flowdpo_pl.PromptDataModule",
        start,
    ]
    judged += ["--data.batch_size=8", "--trainer.accelerator=cpu"]
    test = [f"--data.test.path={PROBLEMS}/valid.jsonl", "--trainer.limit_test_batches=2"]
    run(["test", *judged, *test, "--trainer.callbacks+=callbacks.PredictionLog", written_to("test")])
    swapped = [*judged, *test, "--model.swapped=[x]", "--trainer.callbacks+=callbacks.PredictionLog"]
    run(["test", *swapped, written_to("swapped")])
    files = [next((tmp_path / name).glob("**/predictions.jsonl")) for name in ("test", "swapped")]
    run(["compare", *map(str, files)])

    collect = [f"--data.predict.path={PROBLEMS}/train.jsonl", "--trainer.limit_predict_batches=2"]
    collect += [
        "--trainer.callbacks+=callbacks.TraceLog",
        "--model.attempts=2",
        "--model.sampling.temperature=1.0",
    ]
    run(["predict", *judged, *collect, written_to("predict")])
    (traces,) = (tmp_path / "predict").glob("**/*.jsonl")

    taught = ["--model=flowdpo_pl.SFTModule", team, "--data=flowdpo_pl.TraceDataModule"]
    taught += [f"--data.train=[{traces}]", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    run(["fit", *taught, "--trainer.callbacks+=callbacks.SFTCheckpoint", written_to("sft")])
    assert (tmp_path / "sft" / "adapter" / "adapter_config.json").is_file()

    for merged in ("false", "true"):
        run(["export", str(tmp_path / "fit"), f"--output={tmp_path / merged}", f"--merged={merged}"])
        assert (tmp_path / merged / "x").is_dir() and (tmp_path / merged / "y").is_dir()
    run(["plan", *online, "--json=true"])
    run(["check", *online])
    said = capsys.readouterr().out
    assert "agent 'x'" in said and "agent 'y'" in said
    assert "answer/" not in said and "'answer'" not in said and "stop/" not in said

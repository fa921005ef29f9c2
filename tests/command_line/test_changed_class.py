"""A class that takes another one's place keeps its own defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowdpo_pl.cli import described
from tests.runs import ROOT

CONFIG = """
model:
  class_path: flowdpo_pl.FlowDPOModule
  init_args:
    team:
      base: {path: quickstart/model, dtype: float32}
      prompts: {x: {user: "{question}"}, y: {user: "{partial}{question}", options: ["Yes", "No"]}}
      flow: tests.relay.PairFlow
"""


def test_a_flow_of_one_s_own_has_its_own_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "own.yaml").write_text(CONFIG)
    data = ["--data=flowdpo_pl.PromptDataModule", "--data.train.path=quickstart/problems/train.jsonl"]
    told = described(["fit", f"--config={tmp_path / 'own.yaml'}", *data])
    flow = told.model.team.flow
    assert (type(flow).__name__, flow.chunk_tokens, flow.max_chunks) == ("PairFlow", 12, 4)


def test_what_was_given_goes_over_and_defaults_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    arguments = ["--config=configs/quickstart.yaml", "--model=flowdpo_pl.EvaluationModule", "--model.seed=7"]
    arguments += ["--data.test.path=quickstart/problems/valid.jsonl"]
    told = described(["test", *arguments])
    assert told.model.sampling.temperature == 0  # not the 1 of training, which nobody gave
    assert told.model.team.flow.chunk_tokens == 12
    asked = ["--model=flowdpo_pl.FlowDPOModule", "--model.sampling.temperature=0.7", *arguments[:2]]
    assert described(["test", "--config=configs/quickstart.yaml", *asked, *arguments[3:]]).model.sampling

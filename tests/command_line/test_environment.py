"""A variable of the environment in a config stands for what the environment says, or for its default."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flowdpo_pl.cli import FlowCLI, main
from flowdpo_pl.command_line.environment import from_environment
from flowdpo_pl.verbs.study_stage import Stage
from tests.runs import ROOT

SMOLLM2 = ROOT / "configs" / "smollm2" / "flow_dpo.yaml"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "folder"), ("", "folder"), ("/elsewhere", "/elsewhere")],
    ids=["unset", "empty", "set"],
)
def test_the_default_is_for_what_is_unset_or_empty(
    value: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOME_FOLDER", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_FOLDER", value)
    assert from_environment("path: ${SOME_FOLDER:-folder}/a.jsonl") == f"path: {expected}/a.jsonl"


@pytest.mark.parametrize("text", ["$x$", "${x}$ and $y", "${A}", "{question} costs $5", "${a:-b}", "$${"])
def test_formulas_and_prices_stay(text: str) -> None:
    assert from_environment(text) == text


def test_a_run_s_config_is_filled_in_and_keeps_what_it_was_filled_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)
    monkeypatch.setattr("flowdpo_pl.cli.require_data_files", lambda *_: None)
    monkeypatch.setenv("WORD_PROBLEMS", "elsewhere")
    cli = main(["fit", f"--config={SMOLLM2}"])
    given = cli.config["fit"]
    assert given.data.init_args.train.path == "elsewhere/train.jsonl"
    assert given.model.init_args.team.base.path == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_a_value_of_the_command_line_is_left_to_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)
    typed = "${WORD_PROBLEMS:-x}"
    cli = main(["fit", "--config=configs/quickstart.yaml", f"--trainer.logger.init_args.name={typed}"])
    assert cli.config["fit"].trainer.logger.init_args.name == typed


def test_another_value_makes_another_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "stage.yaml"
    config.write_text(yaml.safe_dump({"source": {"path": "${WORD_PROBLEMS:-here}/train.jsonl"}}))
    stage = Stage("ground_truth", str(config))
    monkeypatch.setenv("WORD_PROBLEMS", "one")
    one = stage.fingerprint(0, {})
    monkeypatch.setenv("WORD_PROBLEMS", "other")
    assert stage.fingerprint(0, {}) != one

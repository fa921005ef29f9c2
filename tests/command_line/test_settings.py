"""A setting out of its range is named by its whole key. Also tests `command_line.own_verbs`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowdpo_pl.cli import FlowCLI, main
from flowdpo_pl.command_line.own_verbs import run_own
from flowdpo_pl.command_line.verbs import verb_named
from flowdpo_pl.errors import UserError
from tests.runs import ROOT

QUICKSTART = ["--config", str(ROOT / "configs" / "quickstart.yaml")]


@pytest.fixture(autouse=True)
def unrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--model.team.budget.decode_tokens=0", "model.team.budget.decode_tokens is 0: give at least 1."),
        (
            "--model.team.budget.cpu_threads=0",
            "model.team.budget.cpu_threads is 0: give at least 1, or null.",
        ),
        ("--model.team.flow.max_chunks=0", "model.team.flow.max_chunks is 0: give at least 1."),
        ("--model.team.lora.alpha=-1", "model.team.lora.alpha is -1: give more than 0."),
        ("--model.learning.loss.beta=0", "model.learning.loss.beta is 0.0: give more than 0."),
        (
            "--model.agent_learning={stop: {lr: -1}}",
            "model.agent_learning.stop.lr is -1.0: give more than 0.",
        ),
        ("--model.sampling.top_p=2", "model.sampling.top_p is 2.0: give"),
        (
            "--model.exploration.alternatives=0",
            "model.exploration.alternatives is 0: give at least 1, or null.",
        ),
        ("--model.verifier.workers=0", "model.verifier.workers is 0: give at least 1."),
        ("--model.team.prompts.answer.user=hi", "model.team.prompts.answer.user 'hi' has no {question}"),
        ("--model.team.start.reference=initial", "model.team.start.reference is 'initial' without"),
        ("--data.train.part=[0.5, 0.2]", "data.train.part is [0.5, 0.2]: give two ascending bounds"),
        ("--data.validation.limit=0", "data.validation.limit is 0: give at least 1, or null."),
        ("--model.window=0", "model.window is 0: give at least 1."),
        ("--data.batch_size=0", "data.batch_size is 0: give at least 1."),
    ],
)
def test_the_whole_key_is_told(argument: str, told: str) -> None:
    with pytest.raises((UserError, ValueError), match=re.escape(told)):
        main(["fit", *QUICKSTART, argument])


def test_of_a_callback_too() -> None:
    words = ["--trainer.callbacks+=callbacks.SampleFlows", "--trainer.callbacks.n=0"]
    with pytest.raises(UserError, match=r"^trainer\.callbacks\.SampleFlows\.n is 0"):
        main(["fit", *QUICKSTART, *words])


def test_of_an_own_verb_too(tmp_path: Path) -> None:
    words = ["--traces={a: a.jsonl}", f"--output={tmp_path}", "--stream.path=x.jsonl", "--stream.limit=0"]
    with pytest.raises(UserError, match=r"^stream\.limit is 0"):
        run_own(verb_named("arms"), words)


def test_an_own_verb_runs_with_what_was_typed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^a: b\.jsonl does not exist"):
        run_own(verb_named("compare"), ["a: b.jsonl", str(tmp_path)])


def test_a_class_of_the_user_s_is_built_by_the_parser_alone() -> None:
    coin = "--model.verifier=tests.test_configs.CoinVerifier"
    assert type(main(["fit", *QUICKSTART, coin]).model.verifier).__name__ == "CoinVerifier"

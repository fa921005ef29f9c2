"""The pages begin with what a reader needs. Also tests `command_line.verbs`."""

from __future__ import annotations

import pytest

from flowdpo_pl.__main__ import main as run_program
from flowdpo_pl.command_line.help import page_asked_for
from flowdpo_pl.command_line.verbs import GROUPS, TRAINER_VERBS, VERBS, overview, verb_named
from flowdpo_pl.errors import UserError
from tests.runs import ROOT


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def page(verb: str, *words: str) -> str:
    found = page_asked_for(verb_named(verb), words)
    assert found is not None
    return found


def test_the_overview_has_every_verb_in_a_line_of_its_group() -> None:
    lines = overview().splitlines()
    for title, verbs in GROUPS.items():
        start = lines.index(f"{title}:")
        for number, verb in enumerate(verbs, 1):
            assert lines[start + number].split()[0] == verb.name
    assert "docs/runs.md" in overview() and max(map(len, lines)) <= 110


@pytest.mark.parametrize(("words", "code"), [([], 2), (["--help"], 0), (["-h"], 0)])
def test_the_program_alone_prints_it(
    words: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["flowdpo_pl", *words])
    with pytest.raises(SystemExit) as ended:
        run_program()
    assert ended.value.code == code and capsys.readouterr().out.strip() == overview()


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("fiit", "did you mean fit?"),
        ("zzz", "give one of fit, "),
        ("--config", "stands where the verb belongs"),
    ],
)
def test_a_wrong_verb_is_said(word: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint.replace("?", r"\?")):
        verb_named(word)


@pytest.mark.parametrize("verb", TRAINER_VERBS)
def test_a_verb_s_page_has_an_example_then_the_module_then_the_trainer(verb: str) -> None:
    told = page(verb, "--help")
    example, model, data, trainer = (
        told.index(f"  python -m flowdpo_pl {verb} --config configs/"),
        told.index(f"model: {VERBS[verb].module}"),
        told.index("--data.train.path"),
        told.index("--trainer.max_epochs"),
    )
    assert example < model < told.index("--model.team.prompts.NAME.user") < data < trainer
    assert example < 300


def test_a_config_s_module_is_told() -> None:
    told = page("fit", "--config", "configs/quickstart_study/sft.yaml", "--help")
    assert "model: flowdpo_pl.SFTModule" in told and "--model.accumulation" in told
    assert "data: flowdpo_pl.TraceDataModule" in told and "--model.pairs_per_update" not in told


@pytest.mark.parametrize("name", ["SFTModule", "flowdpo_pl.SFTModule"])
def test_a_class_s_page_takes_its_short_name(name: str) -> None:
    told = page("fit", "--model.help", name)
    assert (
        told.startswith("model: flowdpo_pl.SFTModule")
        and "batches whose traces make one optimizer step" in told
    )


def test_keys_defaults_and_meanings_stand_together() -> None:
    lines = page("fit", "--help").splitlines()
    (line,) = (line for line in lines if line.lstrip().startswith("--model.learning.lr "))
    assert "[5e-06]" in line and "Adam's learning rate" in line
    assert not any(line.rstrip() != line or "``" in line for line in lines)


def test_another_help_is_left_to_the_parser() -> None:
    assert page_asked_for(verb_named("study"), ["--help"]) is None
    assert page_asked_for(verb_named("fit"), ["--model.help", "no.such.Class"]) is None
    assert page_asked_for(verb_named("fit"), ["--model.learning.lr=1"]) is None

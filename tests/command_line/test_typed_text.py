"""Text arrives as it was typed; null and nothing unset what is optional, at every depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flowdpo_pl.cli import FlowCLI, main
from flowdpo_pl.command_line.typed_text import MARK, for_parser, unmarked
from flowdpo_pl.data.problem_source import ProblemSource
from tests.problem_files import write_jsonl
from tests.runs import ROOT

QUICKSTART = ["--config", str(ROOT / "configs" / "quickstart.yaml")]
TEXTS = [
    "Solve this: {question}",
    "# {question}",
    "[{question}]",
    "{question}",
    '"{question}" \'',
    "a\nb: {question}",
    " {question} ",
]


@pytest.fixture(autouse=True)
def unrun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse and instantiate, but don't run."""
    monkeypatch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)
    monkeypatch.chdir(ROOT)


def source_of(*words: str) -> ProblemSource:
    cli = main(["fit", *QUICKSTART, *words])
    source: ProblemSource = cli.datamodule.sources["train"]
    return source


@pytest.mark.parametrize("text", TEXTS)
def test_a_prompt_is_what_was_typed(text: str) -> None:
    cli = main(["fit", *QUICKSTART, f"--model.team.prompts.answer.user={text}"])
    assert cli.model.team.prompts["answer"].user == text
    assert cli.model.team.prompts["stop"].user == "{question} Draft: {partial} Finished?"


def test_text_that_looks_like_something_else_is_text_in_every_setting_of_text() -> None:
    source = source_of(
        "--data.train.question_field=1e3",
        "--data.train.answer_field=null",
        "--data.train.split",
        "yes",
        "--data.train.id_field=a: b",
        "--data.train.name=007",
    )
    assert (source.question_field, source.answer_field, source.split) == ("1e3", "null", "yes")
    assert (source.id_field, source.name) == ("a: b", "007")
    cli = main(["fit", *QUICKSTART, "--trainer.logger.name=a: b", "--model.team.prompts.stop.system=null"])
    assert cli.config.fit.trainer.logger.init_args.name == "a: b"
    assert cli.model.team.prompts["stop"].system == "null"


@pytest.mark.parametrize("nothing", ["null", ""])
def test_null_and_nothing_unset_every_optional_setting_of_a_source(nothing: str) -> None:
    given = {
        "name": "x",
        "id_field": "x",
        "seed_question_field": "x",
        "label_fields": "[x]",
        "gold": "flowdpo_pl.HashMarked",
        "grouping": "KeepTogether",
        "part": "[0, 0.5]",
        "limit": "3",
    }
    before = source_of(*(f"--data.train.{key}={value}" for key, value in given.items()))
    after = source_of(
        *(f"--data.train.{key}={value}" for key, value in given.items()),
        *(f"--data.train.{key}={nothing}" for key in given),
    )
    assert None not in [getattr(before, key) for key in given]
    assert [getattr(after, key) for key in given] == [None] * len(given)


@pytest.mark.parametrize("nothing", ["null", '""'])
def test_a_later_config_unsets_too_and_names_classes_shortly(nothing: str, tmp_path: Path) -> None:
    later = tmp_path / "later.yaml"
    unset = ", ".join(f"{key}: {nothing}" for key in ("seed_question_field", "part", "grouping", "name"))
    later.write_text(f"data: {{init_args: {{train: {{{unset}, gold: HashMarked}}}}}}")
    paper = [ROOT / "configs" / name for name in ("paper/flow_dpo.yaml", "llama3_8b/model.yaml")]
    cli = main(["fit", *(f"--config={config}" for config in [*paper, later])])
    source = cli.datamodule.sources["train"]
    assert (source.seed_question_field, source.part, source.grouping, source.name) == (None,) * 4
    assert type(source.gold).__name__ == "HashMarked"


def test_the_paper_s_config_is_pointed_at_a_local_file_by_overrides_alone(tmp_path: Path) -> None:
    gsm8k = write_jsonl(tmp_path / "gsm8k.jsonl", [{"question": "1 + 1?", "answer": "so #### 2"}])
    paper = [ROOT / "configs" / name for name in ("paper/flow_dpo.yaml", "llama3_8b/model.yaml")]
    overrides = {
        "path": gsm8k,
        "question_field": "question",
        "answer_field": "answer",
        "seed_question_field": "null",
        "gold": "HashMarked",
        "grouping": "null",
        "part": "null",
    }
    cli = main(
        [
            "fit",
            *(f"--config={config}" for config in paper),
            *(f"--data.train.{key}={value}" for key, value in overrides.items()),
        ]
    )
    source = cli.datamodule.sources["train"]
    assert source == ProblemSource(path=gsm8k, gold=source.gold)
    assert type(source.gold).__name__ == "HashMarked"


def test_a_printed_config_has_texts_as_they_were_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", *QUICKSTART, "--model.team.prompts.answer.user=a: {question}", "--print_config"])
    printed: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["init_args"]["team"]["prompts"]["answer"]["user"] == "a: {question}"


def test_lightning_s_own_empty_text_stays(tmp_path: Path) -> None:
    folder = f"--trainer.logger.init_args.save_dir={tmp_path}"
    empty = ["--trainer.logger.init_args.name=", "--trainer.logger.init_args.version="]
    cli = main(["fit", *QUICKSTART, folder, *empty])
    assert cli.trainer.logger is not None and Path(cli.trainer.logger.log_dir or "") == tmp_path


def test_own_verbs_take_text_too() -> None:
    assert for_parser(["export", "--base=a: b", "--which", "null"]) == [
        "export",
        f"--base={MARK}a: b",
        f"--which={MARK}null",
    ]
    assert unmarked({"a": [f"{MARK}b", (f"{MARK}c", 1)]}) == {"a": ["b", ("c", 1)]}

"""A stage: its command line, what it needs, and when it is the same stage again."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowdpo_pl.cli import FlowCLI, main
from flowdpo_pl.errors import UserError
from flowdpo_pl.verbs.study_stage import Stage, placeholders_filled
from tests.runs import ROOT


def test_placeholders_become_folders_seed_and_values(tmp_path: Path) -> None:
    stage = Stage(
        "arms",
        arguments={
            "seed": "{seed}",
            "output": "{here}",
            "traces.flow": "{collect}/traces.jsonl",
            "limit": 4,
            "files": ["{collect}/a", "{fit}/b"],
            "tokens": "{fit:summary.json:generated_tokens}",
            "nothing": None,
        },
    )
    (tmp_path / "fit").mkdir()
    (tmp_path / "fit" / "summary.json").write_text('{"generated_tokens": 1234}')
    folders = {"collect": tmp_path / "collect", "fit": tmp_path / "fit"}
    assert stage.arguments_of(folders, tmp_path / "here", 7) == [
        "--seed=7",
        f"--output={tmp_path / 'here'}",
        f"--traces.flow={tmp_path / 'collect'}/traces.jsonl",
        "--limit=4",
        f'--files=["{tmp_path / "collect"}/a", "{tmp_path / "fit"}/b"]',
        "--tokens=1234",
        "--nothing=null",
    ]
    assert stage.needs() == {"collect", "fit"}


def test_a_value_that_is_not_there_is_named(tmp_path: Path) -> None:
    stage = Stage("fit", arguments={"x": "{fit:summary.json:tokens}"})
    with pytest.raises(UserError, match=r"summary\.json has no value 'tokens', which a later stage needs"):
        stage.arguments_of({"fit": tmp_path}, tmp_path, 0)


def test_the_trainer_s_verbs_get_their_seed_and_run_folder(tmp_path: Path) -> None:
    line = Stage("fit", "c.yaml", {"model.x": 1}).arguments_of({}, tmp_path, 3)
    assert line[0] == "--config=c.yaml" and line[-1] == "--model.x=1"
    assert "--seed_everything=3" in line and f"--trainer.logger.init_args.save_dir={tmp_path}" in line
    assert Stage("arms").arguments_of({}, tmp_path, 3) == []


def test_the_fingerprint_is_that_of_command_config_seed_and_needs(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("a: 1")
    stage = Stage("fit", str(config), {"x": "{before}/y"})

    def fingerprint(stage: Stage = stage, seed: int = 0, before: str = "f") -> str:
        return stage.fingerprint(seed, {"before": before, "unrelated": "g"})

    first = fingerprint()
    assert first == fingerprint()
    others = {
        fingerprint(seed=1),
        fingerprint(before="other"),
        fingerprint(Stage("validate", str(config), {"x": "{before}/y"})),
        fingerprint(Stage("fit", str(config), {"x": "{before}/z"})),
    }
    config.write_text("a: 2")
    others.add(fingerprint())
    assert len(others) == 5 and first not in others


def test_a_stage_may_have_a_model_s_config_behind_its_own_and_keeps_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)
    monkeypatch.setattr("flowdpo_pl.cli.require_data_files", lambda *_: None)  # an earlier stage writes them
    stage = Stage("fit", ["configs/paper/flow_dpo.yaml", "configs/llama3_8b/model.yaml"])
    line = stage.arguments_of({}, tmp_path, seed=3)
    assert line[:2] == [f"--config={config}" for config in stage.configs]
    config = main(["fit", *line]).config.fit
    assert config.trainer.logger.init_args.save_dir == str(tmp_path) and config.seed_everything == 3
    assert config.model.init_args.team.base.path == "meta-llama/Meta-Llama-3-8B-Instruct"
    first, both = (Stage("fit", stage.configs[:n]).fingerprint(0, {}) for n in (1, 2))
    assert first != both


@pytest.mark.parametrize("in_config", [True, False])
def test_the_fingerprint_is_that_of_the_files_that_are_named(tmp_path: Path, in_config: bool) -> None:
    config, data = tmp_path / "c.yaml", tmp_path / "data.jsonl"
    data.write_text("one")
    config.write_text(f"data: {{train: [{data if in_config else 'a/hub_id'}]}}")
    stage = Stage("fit", str(config), {} if in_config else {"data.train": [str(data)]})
    first = stage.fingerprint(0, {})
    assert first == stage.fingerprint(0, {})
    data.write_text("two")
    assert first != stage.fingerprint(0, {})


def test_a_missing_config_is_named() -> None:
    with pytest.raises(UserError, match=r"names the config none\.yaml, which does not exist"):
        Stage("fit", "none.yaml").fingerprint(0, {})


def test_a_path_that_names_no_stage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text('{"n": 3}')
    assert placeholders_filled("{a}/x{a:facts.json:n}", {"a": tmp_path}) == f"{tmp_path}/x3"
    with pytest.raises(UserError, match="names 'b', which is none of the stages"):
        placeholders_filled("{b}/x", {"a": tmp_path})


def test_values_stand_where_they_are_named_and_make_another_stage() -> None:
    stage = Stage(
        "arms", arguments={"steps": "{steps}", "files": ["{folder}/a", "{fit}/b"], "x": "{fit:f.json:steps}"}
    )
    three = stage.with_values({"steps": 3, "folder": "runs/{seed}"})
    assert three.arguments == {"steps": "3", "files": ["runs/{seed}/a", "{fit}/b"], "x": "{fit:f.json:steps}"}
    assert three.needs() == {"fit"}
    six = stage.with_values({"steps": 6, "folder": "runs/{seed}"})
    assert six.fingerprint(0, {"fit": "f"}) != three.fingerprint(0, {"fit": "f"})


def test_a_stage_is_a_verb_or_a_module() -> None:
    assert Stage("arms").program == ("-m", "flowdpo_pl", "arms")
    assert Stage(module="my.tool", arguments={"out": "{here}"}).program == ("-m", "my.tool")
    for both in (Stage, lambda: Stage("arms", module="my.tool")):
        with pytest.raises(UserError, match="give one of them"):
            both()


@pytest.mark.parametrize("text", ["a: [", "a: 2024-13-45", "a: !!int x", "a: " + "[" * 100_000])
def test_a_config_that_is_no_yaml_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=r"the config .*c\.yaml is no YAML \("):
        Stage("fit", str(tmp_path / "c.yaml")).fingerprint(0, {})


def test_a_value_in_brackets_nested_too_deep_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("[" * 100_000)
    stage = Stage("fit", arguments={"x": "{fit:summary.json:tokens}"})
    with pytest.raises(UserError, match=r"summary\.json has no value 'tokens'"):
        stage.arguments_of({"fit": tmp_path}, tmp_path, 0)

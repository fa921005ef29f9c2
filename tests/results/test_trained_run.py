"""What a folder must hold to be a finished run, and where its paths lead."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.trained_run import TrainedRun, is_there, score_margin

CONFIG = {
    "trainer": {"default_root_dir": "runs/mine"},
    "model": {
        "class_path": "flowdpo_pl.FlowDPOModule",
        "init_args": {"team": {"base": {"path": "models/tiny"}, "prompts": {}}},
    },
}


def made(folder: Path, directory: Path | None = None, verb: str = "fit") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    mark = {"verb": verb, "settings": "", "started": ""}
    (folder / "run.json").write_text(json.dumps(mark | ({"directory": str(directory)} if directory else {})))
    return folder


def with_adapters(run: Path, *names: str) -> Path:
    for name in names:
        for agent in ("x", "y"):
            (run / "adapters" / name / agent).mkdir(parents=True)
            (run / "adapters" / name / agent / "adapter_config.json").write_text("{}")
    return run


def test_adapters_are_the_last_unless_others_are_named(tmp_path: Path) -> None:
    run = TrainedRun.at(with_adapters(made(tmp_path / "mine"), "last", "best"))
    assert run.adapters() == {agent: str(run.folder / "adapters" / "last" / agent) for agent in ("x", "y")}
    assert run.adapters("best")["y"].endswith("adapters/best/y")
    with pytest.raises(UserError, match="has no adapters 'bst': it has best, last"):
        run.adapters("bst")


def test_a_run_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no adapters yet"):
        TrainedRun.at(made(tmp_path / "mine")).adapters()


def test_a_run_without_trees_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"kept no trees: run `fit` with .*callbacks\.TreeLog"):
        TrainedRun.at(made(tmp_path / "mine")).trees()


def test_what_is_no_run_of_fit_is_refused(tmp_path: Path) -> None:
    run = with_adapters(made(tmp_path / "mine"), "last")
    for folder, complaint in [
        (tmp_path / "no", "is no folder"),
        (tmp_path, rf"has no config.yaml\): did you mean {run}\?"),
        (run / "adapters", rf"did you mean {run}\?"),
        (made(run / "test", verb="test"), "is what `test` has made"),
    ]:
        with pytest.raises(UserError, match=complaint):
            TrainedRun.at(folder)
    (run / "config.yaml").write_text("model: [")
    with pytest.raises(UserError, match="can't be read as the config of a run"):
        TrainedRun.at(run)
    (run / "config.yaml").write_text("model: {class_path: x}")
    with pytest.raises(UserError, match=r"names no base \(model.team.base\)"):
        TrainedRun.at(run)


def test_paths_begin_where_the_run_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there" / "models" / "tiny").mkdir(parents=True)
    run = TrainedRun.at(made(tmp_path / "moved", directory=tmp_path / "there"))
    assert run.base_path() == str(tmp_path / "there" / "models" / "tiny")
    monkeypatch.chdir(tmp_path / "there")
    assert run.base_path() == "models/tiny"  # as it was said, where that is the same


def test_a_project_that_was_moved_whole_has_its_paths(tmp_path: Path) -> None:
    (tmp_path / "new" / "models" / "tiny").mkdir(parents=True)
    run = TrainedRun.at(made(tmp_path / "new" / "runs" / "mine", directory=tmp_path / "old"))
    assert run.base_path() == str(tmp_path / "new" / "models" / "tiny")


def test_a_name_that_may_be_the_hub_s_stays(tmp_path: Path) -> None:
    assert TrainedRun.at(made(tmp_path / "mine")).base_path() == "models/tiny"


@pytest.mark.parametrize("text", ["2024-13-45", "a: !!int x", "a: !!bool x", "a: !!timestamp x", "[" * 500])
def test_values_that_are_none_make_no_config(tmp_path: Path, text: str) -> None:
    run = made(tmp_path / "mine")
    (run / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml can't be read as the config of a run"):
        TrainedRun.at(run)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base", {}),
        ("base", {"path": 5}),
        ("base", {"path": None}),
        ("prompts", 5),
        ("prompts", None),
        ("flow", 5),
        ("flow", {"class_path": 5}),
        ("flow", {"init_args": 5}),
        ("without_adapter", 5),
        ("without_adapter", "stop"),
    ],
)
def test_a_team_of_another_form_is_refused_by_its_key(tmp_path: Path, key: str, value: Any) -> None:
    run = made(tmp_path / "mine")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["init_args"]["team"][key] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=rf"config\.yaml has no .* at model\.team\.{key}"):
        TrainedRun.at(run)


@pytest.mark.parametrize("path", ["n" * 5000, "a/b/nul\0", "~nobody-of-this-name/base", "./" + "n/" * 3000])
def test_a_base_that_no_system_has_is_not_there(tmp_path: Path, path: str) -> None:
    run = made(tmp_path / "mine", directory=tmp_path)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["init_args"]["team"]["base"]["path"] = path
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=r"is not there.*give its folder or hub id"):
        TrainedRun.at(run).base_path()
    assert not is_there(path)


@pytest.mark.parametrize("margin", ["abc", [1], float("nan"), 2, -0.1, True])
def test_a_margin_that_no_run_takes_is_refused(margin: Any) -> None:
    with pytest.raises(
        UserError, match=r"has model\.score_margin .*give|has model\.score_margin .*at least 0"
    ):
        score_margin({"model": {"init_args": {"score_margin": margin}}})


def test_a_margin_is_a_number_or_left_out() -> None:
    given = [{"score_margin": 0.25}, {"score_margin": "1e-05"}, {"score_margin": None}, {}]
    assert [score_margin({"model": {"init_args": one}}) for one in given] == [0.25, 1e-05, 0, 0]
    assert score_margin({"model": 5}) == 0


@pytest.mark.parametrize(
    "left",
    [
        os.mkfifo,
        Path.mkdir,
        lambda file: file.write_bytes(b"\xff"),
        lambda file: file.write_text("[" * 100_000),
        lambda file: file.write_text("5"),
    ],
)
def test_what_is_no_mark_or_summary_is_left(tmp_path: Path, left: Callable[[Path], object]) -> None:
    run = made(tmp_path / "mine")
    (run / "run.json").unlink()
    left(run / "run.json")
    left(run / "summary.json")
    assert TrainedRun.at(run).summary() == {}
    (run / "config.yaml").unlink()
    left(run / "config.yaml")
    with pytest.raises(UserError, match=r"config\.yaml"):
        TrainedRun.at(run)


def test_paths_begin_at_no_relative_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert TrainedRun.at(made(tmp_path / "moved", directory=Path("."))).started_in == ()
    assert TrainedRun.at(made(tmp_path / "other", directory=tmp_path)).started_in == (tmp_path,)


def test_a_trainer_that_is_no_section_has_no_settings(tmp_path: Path) -> None:
    run = made(tmp_path / "mine")
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "trainer": 5}))
    assert TrainedRun.at(run).trainer == {}

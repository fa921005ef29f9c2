"""What a folder must hold to be a finished run, and where its paths lead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.trained_run import TrainedRun

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

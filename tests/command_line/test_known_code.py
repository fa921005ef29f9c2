"""A run's folder is somebody else's: what its config names is not imported unless nobody has to trust it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from flowdpo_pl.__main__ import main as run_program
from flowdpo_pl.cli import FlowCLI, main
from flowdpo_pl.command_line.known_code import TRUST
from tests.finished_runs import SOURCE, copied
from tests.runs import ROOT

EVIL = "import pathlib; pathlib.Path('ran').touch()\ndef judge(prediction, gold): return True\n"


@pytest.fixture
def strange(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a copy of a run whose config a stranger has changed, in a working directory of its own."""
    run, here = copied(finished_run, tmp_path / "runs"), tmp_path / "here"
    here.mkdir()
    for name in ("quickstart", "configs"):
        (here / name).symlink_to(ROOT / name)
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(here))

    def changed(change: Callable[[dict[str, Any]], None], started_in: Path = Path("/elsewhere")) -> Path:
        config = yaml.safe_load((run / "config.yaml").read_text())
        change(config["model"]["init_args"])
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        mark = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**mark, "directory": str(started_in)}))
        return run

    return changed


def told(monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["flowdpo_pl", *words])
    with pytest.raises(SystemExit) as ended:
        run_program()
    return str(ended.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model["team"].update(flow="stranger.Flow"),
        lambda model: model["team"].update(flow={"class_path": "stranger.Flow"}),
        lambda model: model.update(verifier="stranger.judge"),
        lambda model: model.update(
            verifier={
                "class_path": "flowdpo_pl.FunctionVerifier",
                "init_args": {"function": "stranger.judge"},
            }
        ),
    ],
)
def test_strange_code_is_named_and_not_imported(
    strange: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None]
) -> None:
    run = strange(change)
    Path("stranger.py").write_text(EVIL)
    commands = [
        ("test", f"--run={run}", f"--data.test.path={SOURCE}"),
        ("ask", str(run), "Who?"),
        ("export", str(run), "--output=out"),
    ]
    for words in commands:
        sentence = told(monkeypatch, *words)
        assert "names stranger." in sentence and f"{TRUST}=stranger" in sentence
    assert not Path("ran").exists() and "stranger" not in sys.modules


def test_ready_made_functions_are_no_verifiers_of_a_strange_run(
    strange: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = strange(lambda model: model.update(verifier="os.system"))
    assert "names os.system" in told(monkeypatch, "ask", str(run), "Who?")


@pytest.mark.parametrize("way", ["started here", "trusted", "named"])
def test_code_of_ones_own_is_found_as_ever(
    strange: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """It is imported: then it says itself that it is no flow."""
    module = f"mine_{way.replace(' ', '_')}"
    Path(f"{module}.py").write_text("class Flow: ...\n")
    started_in = Path.cwd() if way == "started here" else Path("/elsewhere")
    run = strange(lambda model: model["team"].update(flow={"class_path": f"{module}.Flow"}), started_in)
    if way == "trusted":
        monkeypatch.setenv(TRUST, f"other,{module}")
    given = [f"--model.team.flow={module}.Flow"] if way == "named" else []
    sentence = told(monkeypatch, "test", f"--run={run}", f"--data.test.path={SOURCE}", *given)
    assert TRUST not in sentence and module in sys.modules


def test_files_of_the_run_s_folder_are_not_one_s_own(
    strange: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = strange(lambda model: None)
    monkeypatch.chdir(run.parent)
    monkeypatch.syspath_prepend(str(run.parent))
    (run / "inside.py").write_text(EVIL)
    strange(lambda model: model["team"].update(flow=f"{run.name}.inside.Flow"), run.parent)
    assert f"names {run.name}.inside.Flow" in told(monkeypatch, "ask", run.name, "Who?")
    assert not Path("ran").exists()


def test_a_base_with_code_of_its_own_is_not_taken_unasked(
    strange: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = strange(lambda model: model["team"]["base"].update(trust_remote_code=True, path="their/base"))
    for words in (("ask", str(run), "Who?"), ("pairs", str(run), "--base=quickstart/model")):
        assert f"{TRUST}=their/base" in told(monkeypatch, *words)


def test_a_checkpoint_names_no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning would take its hyper-parameters as the model's class and arguments."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)
    hostile = tmp_path / "last.ckpt"
    torch.save({"hyper_parameters": {"_class_path": "stranger.Module", "depth": 1}}, hostile)
    run = main(["fit", "--config=configs/quickstart.yaml", f"--ckpt_path={hostile}"])
    assert run.config["fit"].model.class_path == "flowdpo_pl.FlowDPOModule"

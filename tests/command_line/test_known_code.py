"""A run's folder is somebody else's: what its config names is not imported unless nobody has to trust it.

Also tests `command_line.named_code`.
"""

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
from flowdpo_pl.command_line.known_code import TRUST, require_known
from flowdpo_pl.command_line.taken_run import with_run
from flowdpo_pl.command_line.verbs import VERBS
from flowdpo_pl.results.trained_run import TrainedRun
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


def judged_by(function: str, **settings: Any) -> dict[str, Any]:
    return {"class_path": "flowdpo_pl.FunctionVerifier", "init_args": {"function": function, **settings}}


def a_team(**changed: Any) -> Callable[[dict[str, Any]], None]:
    return lambda model: model["team"].update(changed)


def judging(verifier: Any) -> Callable[[dict[str, Any]], None]:
    return lambda model: model.update(verifier=verifier)


STRANGE = {
    "a folder with a hyphen": a_team(flow="their-run.stranger.Flow"),
    "a part that begins with a digit": a_team(flow={"class_path": "1st.stranger.Flow"}),
    "a blank behind": a_team(flow="stranger.Flow "),
    "a blank behind a class": a_team(flow={"class_path": "stranger.Flow\n"}),
    "a file that is no Python": a_team(
        flow={"class_path": "broken.Flow", "init_args": {"a": "b"}}, engine="broken.E"
    ),
    "no text": judging({"class_path": ["stranger.Flow"]}),
    "the mark that is taken off texts": judging(judged_by("\x02stranger.judge")),
    "letters that are no word": judging(judged_by("stranger\u0301.judge")),
    "below the prompts": lambda model: model["team"]["prompts"].update(
        answer={"class_path": "stranger.Flow"}
    ),
    "below the base": lambda model: model["team"]["base"].update(class_path="stranger.Flow"),
    "in a list of pairs": a_team(without_adapter=[["x", {"class_path": "stranger.Flow"}]]),
    "a file with a config": a_team(flow="sub.yaml"),
    "a file of no kind": a_team(flow="sub"),
    "a file that is called like a class": a_team(flow="flowdpo_pl.SingleFlow"),
    "a file that is called like a class of ours": a_team(flow="SingleFlow"),
    "a file of a dataclass": a_team(lora="sub.yaml"),
    "a file with a prompt": lambda model: model["team"]["prompts"].update(answer="sub.yaml"),
    "a file of a judge": judging("sub.yaml"),
    "YAML in a text": judging(" {class_path: stranger.Flow}"),
    "YAML in a text of settings": judging(
        judged_by("flowdpo_pl.exact", arguments="{a: {class_path: stranger.Flow}}")
    ),
    "YAML in a text inside": judging(
        judged_by("flowdpo_pl.exact", arguments={"a": "{class_path: stranger.Flow}"})
    ),
    "escaped YAML in a text": judging('{"class\\u005fpath": "stranger.Flow"}'),
    "the environment": a_team(flow="${NOBODY:-stranger.Flow}"),
    "the environment in a text": a_team(prompts={"answer": {"user": "${HOME:-x} {question}"}}),
    "keys with dots": a_team(**{"flow.class_path": "stranger.Flow"}),
    "a setting with dots": judging({"class_path": "flowdpo_pl.MarkedAnswerVerifier", "init_args.a": "sub"}),
    "what this project only imports": judging(judged_by("flowdpo_pl.verify.named_function.import_module")),
    "what this project imports by its module": judging(judged_by("flowdpo_pl.results.run_folder.os.system")),
    "what this project does not export": judging(judged_by("flowdpo_pl.verify.named_function.load_function")),
    "code of the base in a key with dots": a_team(**{"base.trust_remote_code": True}),
    "code of the base in its class": lambda model: model["team"]["base"].update(
        init_args={"trust_remote_code": True}
    ),
}
"""Ways to have code run, or the environment read, that are not the plain name of a class."""


@pytest.mark.parametrize("change", STRANGE.values(), ids=STRANGE)
def test_no_spelling_hides_code(
    strange: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None]
) -> None:
    run = strange(change)
    for place in ("stranger.py", "their-run/stranger.py", "1st/stranger.py", "stranger\u0301.py"):
        Path(place).parent.mkdir(exist_ok=True)
        Path(place).write_text(EVIL)
    Path("broken.py").write_text("((")
    for place in ("sub.yaml", "sub", "flowdpo_pl.SingleFlow"):
        Path(place).write_text("class_path: stranger.Flow\n")
    for words in (
        ("test", f"--run={run}", f"--data.test.path={SOURCE}"),
        ("export", str(run), "--output=out"),
    ):
        sentence = told(monkeypatch, *words)
        assert sentence.startswith(f"flowdpo_pl: the config of {run} ") and TRUST in sentence
    assert not Path("ran").exists()
    assert not any("stranger" in name for name in sys.modules)


@pytest.mark.parametrize("section", ["validation", "gold"])
def test_no_file_stands_for_the_data_of_a_strange_run(
    strange: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    run = strange(lambda model: None)
    Path("sub.yaml").write_text("class_path: stranger.Flow\n")
    Path("stranger.py").write_text(EVIL)
    config = yaml.safe_load((run / "config.yaml").read_text())
    source = config["data"]["init_args"]["validation"]
    config["data"]["init_args"]["validation"] = (
        {**source, "gold": "sub.yaml"} if section == "gold" else "sub.yaml"
    )
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert "has 'sub.yaml' where it must name" in told(monkeypatch, "validate", f"--run={run}")
    assert not Path("ran").exists()


@pytest.mark.parametrize("directory", [".", "", "here/..", "nul\0", "~", "n" * 5000])
def test_a_mark_of_no_whole_directory_makes_no_run_one_s_own(
    strange: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, directory: str
) -> None:
    run = strange(a_team(flow="beside.Flow"), Path("."))
    mark = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**mark, "directory": directory}))
    Path("beside.py").write_text(EVIL)
    monkeypatch.setenv("HOME", str(Path.cwd()))
    assert "names beside.Flow" in told(monkeypatch, "ask", str(run), "Who?")
    assert not Path("ran").exists()


def test_all_of_a_run_is_taken_whose_folder_is_trusted(
    strange: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = strange(a_team(flow="all_of_it.Flow"))
    Path("all_of_it.py").write_text("class Flow: ...\n")
    words = ("test", f"--run={run}", f"--data.test.path={SOURCE}")
    monkeypatch.setenv(TRUST, "")
    assert "names all_of_it.Flow" in told(monkeypatch, *words)
    monkeypatch.setenv(TRUST, f"other,{run}/../{run.name}")
    assert TRUST not in told(monkeypatch, *words) and "all_of_it" in sys.modules


def test_texts_of_a_run_are_texts(strange: Callable[..., Path]) -> None:
    """What looks like code in prompts and names of columns is none."""
    answer = {"user": "Say a.name: {question}", "system": "stranger.Flow"}
    run = strange(lambda model: model["team"]["prompts"].update(answer=answer))
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["init_args"]["validation"]["label_fields"] = ["meta.kind"]
    sections = {"model": config["model"], "data": config["data"]}
    require_known(TrainedRun.at(run), sections, {})


def test_a_config_of_many_aliases_is_refused_at_once(
    strange: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = strange(lambda model: None)
    lines = "\n".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))
    (run / "config.yaml").write_text(f"a0: &a0 [x]\n{lines}\n{(run / 'config.yaml').read_text()}")
    assert "stand for more than 100,000 values" in told(monkeypatch, "ask", str(run), "Who?")


def test_a_text_of_many_aliases_is_refused_at_once(
    strange: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "\n".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))
    run = strange(judging(judged_by("flowdpo_pl.exact", arguments={"a": f"a0: &a0 [x]\n{lines}\n"})))
    assert "where it must name a class" in told(monkeypatch, "ask", str(run), "Who?")


ENGINES = {
    "a program": {"class_path": "flowdpo_pl.LocalVLLM", "init_args": {"python": "./evil.sh"}},
    "servers": {"class_path": "VLLM", "init_args": {"servers": ["http://stranger.example:8000"]}},
    "a class of its own": {"class_path": "stranger.Engine"},
}


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize("where", ["elsewhere", "here"])
def test_a_run_s_engine_is_not_taken_and_that_is_said(
    strange: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: dict[str, Any],
    where: str,
) -> None:
    """Whoever made the run: its folder says that itself."""
    run = strange(a_team(engine=engine), Path.cwd() if where == "here" else Path("/elsewhere"))
    words = [f"--run={run}", f"--data.test.path={SOURCE}"]
    taken, *_ = with_run(VERBS["test"], words)
    assert "engine" not in yaml.safe_load(taken.removeprefix("--config="))["model"]["init_args"]["team"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{run} was played on ") and f"put {TRUST}={run} before" in line
    with_run(VERBS["test"], [*words, "--model.team.engine=flowdpo_pl.Native"])
    assert not capsys.readouterr().err
    monkeypatch.setenv(TRUST, str(run))
    taken, *_ = with_run(VERBS["test"], words)
    assert yaml.safe_load(taken.removeprefix("--config="))["model"]["init_args"]["team"]["engine"] == engine
    assert not capsys.readouterr().err


def test_an_engine_that_is_named_has_no_settings_of_the_run_s(strange: Callable[..., Path]) -> None:
    run = strange(a_team(**{"engine": ENGINES["a program"], "engine.init_args.python": "./evil.sh"}))
    words = [f"--run={run}", "--model.team.engine=flowdpo_pl.LocalVLLM"]
    assert "evil" not in " ".join(with_run(VERBS["test"], words))


def test_a_run_that_was_played_here_says_nothing_of_engines(
    strange: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for engine in (None, "Native", {"class_path": "flowdpo_pl.play.engines.engine_settings.Native"}):
        with_run(VERBS["test"], [f"--run={strange(a_team(engine=engine))}"])
    assert not capsys.readouterr().err


def test_a_checkpoint_names_no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning would take its hyper-parameters as the model's class and arguments."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(FlowCLI, "_run_subcommand", lambda *_: None)
    hostile = tmp_path / "last.ckpt"
    named = {"hyper_parameters": {"_class_path": "stranger.Module", "depth": 1}}
    torch.save({**named, "state_dict": {}, "pytorch-lightning_version": "2.6.6"}, hostile)
    run = main(["fit", "--config=configs/quickstart.yaml", f"--ckpt_path={hostile}"])
    assert run.config["fit"].model.class_path == "flowdpo_pl.FlowDPOModule"

"""A run made in Python is the run of the command line.

Also tests `modules.claimed_run`, `modules.as_config` and `modules.python_run`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from datasets import Dataset
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks import AccuracyCurve, AdapterCheckpoint, FlowProgressBar, RunSummary, TreeLog
from flowdpo_pl import (
    AgentPrompt,
    AnswerStopFlow,
    BaseModel,
    Budget,
    FlowDPOModule,
    Learning,
    LoraSettings,
    MarkedAnswerVerifier,
    ProblemSource,
    PromptDataModule,
    SigmoidLoss,
    Team,
    Trainer,
)
from flowdpo_pl.cli import main
from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.as_config import UnnamedError, as_config, path_of
from flowdpo_pl.results.run_folder import read_mark
from flowdpo_pl.results.tree_io import tree_to_dict
from tests.runs import MODEL, ROOT

TRAIN = ROOT / "quickstart" / "problems" / "train.jsonl"
ROWS = [json.loads(line) for line in TRAIN.read_text(encoding="utf-8").splitlines()[:40]]
AS_QUICKSTART: dict[str, Any] = {
    "learning": Learning(lr=3.0e-3, loss=SigmoidLoss(beta=1.0)),
    "verifier": MarkedAnswerVerifier(),
    "max_problems": 16,
    "seed": 3,
}


def module(**options: Any) -> FlowDPOModule:
    """That of configs/quickstart.yaml."""
    team = Team(
        BaseModel(str(MODEL), dtype="float32"),
        {
            "answer": AgentPrompt("{question}"),
            "stop": AgentPrompt("{question} Draft: {partial} Finished?", options=("Yes", "No")),
        },
        AnswerStopFlow(chunk_tokens=12, max_chunks=6),
        LoraSettings(r=8, alpha=8, dropout=0.0),
        budget=Budget(cpu_threads=1),
    )
    return FlowDPOModule(team, **{**AS_QUICKSTART, **options})


def data(place: Any, **options: Any) -> PromptDataModule:
    return PromptDataModule(place, **{"batch_size": 8, "seed": 3, **options})


def callbacks() -> list[Callback]:
    return [FlowProgressBar(), AdapterCheckpoint(), AccuracyCurve(), TreeLog(), RunSummary()]


def trainer(folder: Path, **options: Any) -> Trainer:
    return Trainer(folder, callbacks(), accelerator="cpu", **options)


def fitted(folder: Path, place: Any, **options: Any) -> Trainer:
    made = trainer(folder)
    made.fit(module(**options), data(place))
    return made


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("trees.jsonl", "accuracy_curve.csv"):
        assert (one / name).read_text("utf-8") == (other / name).read_text("utf-8")
    states = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (one, other)
    ]
    assert states[0].keys() == states[1].keys() and len(states[0]) > 0
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A finished run of a list; its folder is not to be written to."""
    return fitted(tmp_path_factory.mktemp("made") / "list", ROWS)


def test_a_list_a_data_set_and_a_file_are_the_same_run_and_that_of_the_command_line(
    made: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), encoding="utf-8")
    for name, place in (("file", str(file)), ("data_set", Dataset.from_list(ROWS))):
        assert_same_run(fitted(tmp_path / name, place).folder, made.folder)
    monkeypatch.chdir(ROOT)
    settings = ["--data.batch_size=8", "--model.max_problems=16", "--seed_everything=3"]
    places = [f"--data.train.path={file}", f"--trainer.logger.init_args.save_dir={tmp_path}"]
    main(["fit", "--config=configs/quickstart.yaml", *settings, *places])
    assert_same_run(tmp_path / "quickstart", made.folder)
    team = [
        yaml.safe_load((run / "config.yaml").read_text("utf-8"))["model"]
        for run in (tmp_path / "quickstart", made.folder)
    ]
    team[0]["init_args"]["team"]["base"]["path"] = str(MODEL)
    assert team[0] == team[1]


def test_results_are_plain_objects_and_paths(made: Trainer) -> None:
    results = made.results
    assert [point.problems_seen for point in results.curve] == [8, 16]
    trees = [json.loads(json.dumps(tree_to_dict(tree))) for tree in results.trees()]
    lines = (made.folder / "trees.jsonl").read_text("utf-8").splitlines()
    assert [{key: json.loads(line)[key] for key in trees[0]} for line in lines] == trees
    assert {folder.name for folder in results.adapters().values()} == {"answer", "stop"}
    assert results.summary["problems_seen"] == 16


def test_stopped_and_resumed_equals_uninterrupted_and_another_list_is_refused(
    made: Trainer, tmp_path: Path
) -> None:
    stopped = fitted(tmp_path / "run", ROWS, max_problems=8)
    folder = stopped.folder
    with pytest.raises(UserError, match="the data have changed since the checkpoint"):
        trainer(folder).fit(module(), data(ROWS[:-1]), ckpt_path="last")
    played = {tree.problem.question for tree in stopped.results.trees()}
    mended = [row if row["question"] in played else {**row, "answer": "7"} for row in ROWS]
    with pytest.raises(UserError, match=r"data\.train.*40 rows with digest \w+.*40 rows with digest"):
        trainer(folder).fit(module(), data(mended), ckpt_path="last")
    trainer(folder).fit(module(), data(Dataset.from_list(ROWS)), ckpt_path="last")
    assert_same_run(folder, made.folder)


def test_a_folder_that_holds_a_run_is_another_run_s_until_it_is_replaced(tmp_path: Path) -> None:
    folder = fitted(tmp_path / "run", ROWS, max_problems=8).folder
    before = (folder / "trees.jsonl").read_bytes()
    with pytest.raises(UserError, match=r'holds a run already.*ckpt_path="last".*overwrite=True'):
        trainer(folder).fit(module(seed=4), data(ROWS, seed=4))
    with pytest.raises(UserError, match="of other settings"):
        trainer(folder, overwrite="same").fit(module(seed=4), data(ROWS, seed=4))
    assert (folder / "trees.jsonl").read_bytes() == before
    trainer(folder, overwrite="same").fit(module(max_problems=8), data(ROWS))
    assert (folder / "trees.jsonl").read_bytes() == before
    trainer(folder, overwrite=True).fit(module(seed=4), data(ROWS, seed=4))
    assert (folder / "trees.jsonl").read_bytes() != before


def test_what_has_been_in_a_run_begins_no_other(tmp_path: Path) -> None:
    used, read = module(max_problems=8), data(ROWS)
    trainer(tmp_path / "one").fit(used, read)
    with pytest.raises(UserError, match="this FlowDPOModule has been in a run already"):
        trainer(tmp_path / "two").fit(used, data(ROWS))
    with pytest.raises(UserError, match="this PromptDataModule has been in a run already"):
        trainer(tmp_path / "two").fit(module(), read)
    assert not (tmp_path / "two").exists()


def test_validate_writes_into_its_own_folder_and_leaves_the_run_s(tmp_path: Path) -> None:
    run = trainer(tmp_path / "run")
    played = module(max_problems=8)
    run.fit(played, data(ROWS, validation=ROWS[:8]))
    summary = (run.folder / "summary.json").read_bytes()
    run.validate(played, data(None, validation=ROWS[:8]))
    assert (run.folder / "summary.json").read_bytes() == summary
    assert json.loads((run.folder / "validate" / "summary.json").read_text("utf-8"))["problems_seen"] == 8
    mark = read_mark(run.folder / "validate")
    assert mark is not None and mark.verb == "validate" and run.log_dir == str(run.folder) + "/"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"gradient_clip_val": 1.0}, r"trainer\.gradient_clip_val is 1"),
        ({"precision": "bf16-mixed"}, r"trainer\.precision is bf16-mixed"),
        ({"logger": False}, "logger=False"),
        ({"default_root_dir": "x"}, "leave default_root_dir out"),
        ({"strategy": "ddp"}, "AdapterStrategy"),
    ],
)
def test_an_argument_that_would_not_do_what_it_says_is_refused(
    tmp_path: Path, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        trainer(tmp_path / "run", **settings).fit(module(), data(ROWS))
    assert not (tmp_path / "run").exists()


def test_two_callbacks_of_a_kind_are_refused(tmp_path: Path) -> None:
    twice = Trainer(tmp_path / "run", [*callbacks(), TreeLog()], accelerator="cpu")
    with pytest.raises(UserError, match="TreeLog 2 times"):
        twice.fit(module(), data(ROWS))
    both = Trainer(tmp_path / "run", [*callbacks(), ModelCheckpoint()], accelerator="cpu")
    with pytest.raises(UserError, match="AdapterCheckpoint and ModelCheckpoint"):
        both.fit(module(), data(ROWS))


def test_verbs_take_such_a_run_and_say_what_only_its_program_had(made: Trainer, tmp_path: Path) -> None:
    def verb(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flowdpo_pl", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    run = str(made.folder)
    asked = verb("ask", run, "Tom has 6 stones. He loses 3. How many stones is that?")
    assert asked.returncode == 0, asked.stderr
    pairs = tmp_path / "pairs.jsonl"
    assert verb("pairs", run, "--output", str(pairs)).returncode == 0 and pairs.stat().st_size > 0
    resumed = verb("fit", f"--config={run}/config.yaml", "--ckpt_path=last")
    assert resumed.returncode == 1
    assert resumed.stderr.startswith("flowdpo_pl: data.train.path: 'python:40 rows with digest ")
    assert "were given in Python" in resumed.stderr and resumed.stderr.count("\n") == 1


@dataclass(frozen=True)
class OwnLoss(SigmoidLoss):
    scale: float = 2.0


class Forgetful:
    def __init__(self, level: int) -> None:
        self._level = level


def test_objects_are_named_as_a_config_names_them() -> None:
    assert as_config(OwnLoss(beta=0.5)) == {
        "class_path": "tests.modules.test_trainer.OwnLoss",
        "init_args": {"beta": 0.5, "label_smoothing": 0.0, "scale": 2.0},
    }
    assert as_config(ProblemSource(ROWS, limit=3))["path"].startswith("python:40 rows")
    assert path_of(AdapterCheckpoint) == "callbacks.AdapterCheckpoint" and path_of(Team) == "flowdpo_pl.Team"
    with pytest.raises(UnnamedError, match="Forgetful"):
        as_config({"a": [Forgetful(1)]})


def test_a_run_that_no_config_can_name_has_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = trainer(tmp_path / "run")
    run.fit(module(max_problems=8, seed=1), data(ROWS, seed=2))
    assert not (run.folder / "config.yaml").exists() and len(list(run.results.trees())) == 8

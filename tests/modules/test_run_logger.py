"""TensorBoard and W&B in a run's folder: rows by problems, none doubled by a resume, samples as tables.

Also tests `modules.tensor_board`, `modules.weights_and_biases` and `callbacks.watching.tables`.
"""

from __future__ import annotations

import html
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import LearningRateMonitor

from flowdpo_pl.cli import main
from flowdpo_pl.errors import UserError
from flowdpo_pl.modules import run_logger
from flowdpo_pl.modules.tensor_board import TensorBoard
from flowdpo_pl.modules.weights_and_biases import WeightsAndBiases
from tests.runs import ROOT, data, module, trainer

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
pytest.importorskip("wandb")
from tests.wandb_files import history  # noqa: E402

QUICKSTART = ["fit", "--config", str(ROOT / "configs" / "quickstart.yaml")]
NASTY = "<img src=x onerror=alert(1)> | [a](http://b) \x1b[31m *c* `d`\n# e"


@pytest.fixture(autouse=True)
def at_the_root_and_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("WANDB_MODE", "offline")


def run(folder: Path, *words: str, problems: int = 24) -> Path:
    small = [
        "--data.batch_size=8",
        f"--model.max_problems={problems}",
    ]
    samples = ["--trainer.callbacks+=LearningRateMonitor"]
    place = f"--trainer.logger.init_args.save_dir={folder}"
    main([*QUICKSTART, place, *words, *small, *samples])
    return folder / "quickstart"


def events(folder: Path) -> Any:
    found = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    return found.Reload()


def steps(folder: Path, tag: str) -> list[int]:
    return [event.step for event in events(folder).Scalars(tag)]


@pytest.mark.parametrize(
    "named",
    [
        ["--trainer.logger=TensorBoardLogger"],
        ["--trainer.logger=[CSVLogger,TensorBoardLogger]"],
        ["--trainer.logger+=TensorBoardLogger", "--trainer.logger+=WandbLogger"],
        ["--trainer.logger=WandbLogger", "--trainer.logger.offline=true"],
    ],
    ids=["TensorBoard alone", "a list", "both beside the table", "W&B alone"],
)
def test_the_run_s_folder_holds_everything_whatever_the_loggers(named: list[str], tmp_path: Path) -> None:
    folder = run(tmp_path, *named, problems=8)
    for name in ("run.json", "config.yaml", "accuracy_curve.csv", "checkpoints", "adapters", "trees.jsonl"):
        assert (folder / name).exists()
    words = " ".join(named)
    assert len(list(folder.glob("events.*"))) == words.count("TensorBoard")
    assert (folder / "wandb").exists() == ("Wandb" in words)
    assert (folder / "metrics.csv").exists() == ("=[CSV" in words or "+=" in words)
    assert sorted(place.name for place in tmp_path.iterdir()) == ["quickstart"]


def test_a_name_on_the_command_line_is_all_loggers_(tmp_path: Path) -> None:
    run(tmp_path, "--trainer.logger+=TensorBoardLogger", "--trainer.logger.init_args.name=other", problems=8)
    assert {place.name for place in tmp_path.iterdir()} == {"other"}
    assert list((tmp_path / "other").glob("events.*")) and (tmp_path / "other" / "metrics.csv").is_file()


def test_rows_stand_at_problems_and_a_resume_doubles_none(tmp_path: Path) -> None:
    both = ["--trainer.logger+=TensorBoardLogger", "--trainer.logger+=WandbLogger"]
    folder = run(tmp_path, *both, problems=16)
    assert steps(folder, "window_accuracy") == [8, 16]
    assert steps(folder, "lr-Adam/pg1") == [0, 0, 8], "Lightning's own, before epoch and batches"
    earlier = folder / "checkpoints" / "problems_000016.ckpt"
    run(tmp_path, *both, "--ckpt_path=last", problems=32)
    run(tmp_path, *both, f"--ckpt_path={earlier}", "--overwrite", problems=40)  # plays 24 and 32 again
    assert steps(folder, "window_accuracy") == [8, 16, 24, 32, 40]
    rows = history(folder)
    assert [row["problems_seen"] for row in rows if "window_accuracy" in row] == [8, 16, 24, 32, 40]
    assert len({file.name for file in folder.glob("wandb/offline-run-*/run-*.wandb")}) == 1, "one run at W&B"
    table = (folder / "metrics.csv").read_text().splitlines()
    assert table[0].startswith("problems_seen,") and "step" not in table[0].split(",")
    by_table = [line.split(",")[0] for line in table[1:] if line.count(",,") < 10]
    assert by_table == ["8", "16", "24", "32", "40"]


def test_a_run_that_is_replaced_begins_anew_in_every_logger(tmp_path: Path) -> None:
    both = ["--trainer.logger+=TensorBoardLogger", "--trainer.logger+=WandbLogger"]
    folder = run(tmp_path, *both, problems=16)
    first = {path.name for path in folder.glob("wandb/offline-run-*/*.wandb")}
    run(tmp_path, *both, "--overwrite", problems=8)
    assert steps(folder, "window_accuracy") == [8]
    again = {path.name for path in folder.glob("wandb/offline-run-*/*.wandb")}
    assert len(again) == 1 and not again & first
    with pytest.raises(UserError, match="holds a run already"):
        run(tmp_path, *both)
    assert len(list(folder.glob("events.*"))) == 1, "a run that is refused has opened nothing"


def test_other_verbs_log_below_the_run_s_folder_at_the_flow_s_position(tmp_path: Path) -> None:
    both = ["--trainer.logger+=TensorBoardLogger", "--trainer.logger+=WandbLogger"]
    folder = run(tmp_path, *both, problems=16)
    place = [f"--trainer.logger.init_args.save_dir={tmp_path}", "--data.validation.limit=8"]
    main(["validate", *QUICKSTART[1:], *both, *place, "--ckpt_path=last"])
    assert steps(folder / "validate", "validation/accuracy") == [16]
    assert history(folder / "validate")[-1]["problems_seen"] == 16


def test_samples_are_tables_whose_text_is_inert(tmp_path: Path) -> None:
    boards = [TensorBoard(str(tmp_path)), WeightsAndBiases(str(tmp_path))]
    for board in boards:
        board.log_table("samples", ["move", "n"], [[NASTY, 1]], step=8)
        board.finalize("success")
    (event,) = events(tmp_path).Tensors("samples/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    cell = text.splitlines()[2]
    assert event.step == 8 and cell.count("|") == 3, "a line of two cells"
    assert not set("<>[]()*`#!") & set(cell.replace("&#", "")), "neither HTML nor Markdown"
    assert (
        html.unescape(cell)
        == f"| {NASTY.replace(chr(27), chr(92) + 'x1b').replace(chr(10), chr(92) + 'n')} | 1 |"
    )
    (row,) = history(tmp_path)
    assert (
        row["samples/_type"] == "table-file"
        if "samples/_type" in row
        else row["samples"]["_type"] == "table-file"
    )
    (file,) = tmp_path.glob("wandb/offline-run-*/files/media/table/*.json")
    assert "\\u001b" not in file.read_text() and "x1b" in file.read_text()


def test_the_run_s_samples_are_in_the_event_file(tmp_path: Path) -> None:
    callbacks = "--trainer.callbacks=[{class_path: callbacks.SampleFlows, init_args: {every_n_problems: 8}}]"
    run_of = run(tmp_path, "--trainer.logger=TensorBoardLogger", callbacks, problems=8)
    (event,) = events(run_of).Tensors("samples/text_summary")
    header = event.tensor_proto.string_val[0].decode().splitlines()[0]
    assert event.step == 8
    assert header == "| problem | question | node | agent | move | answer | gold | verdict |"


@pytest.mark.parametrize(
    ("name", "package"), [("TensorBoardLogger", "tensorboard"), ("WandbLogger", "wandb")]
)
def test_a_missing_package_is_one_sentence(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_logger, "find_spec", lambda package: None)
    with pytest.raises(
        UserError, match=rf"needs the package {package}: pip install 'flowdpo-pl\[{package}\]'"
    ):
        run(tmp_path, f"--trainer.logger={name}")
    assert not list(tmp_path.iterdir())


def test_without_a_key_nothing_is_sent_or_begun(tmp_path: Path) -> None:
    alone = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none"), "WANDB_MODE": "online"}
    environment = {**os.environ, **alone}
    environment.pop("WANDB_API_KEY", None)
    program = "from flowdpo_pl import WeightsAndBiases; WeightsAndBiases()"
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert "UserError: trainer.logger names WeightsAndBiases, and W&B has no key" in told.stderr


def test_other_loggers_of_a_trainer_in_python_are_numbered_by_problems_too(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    plain = CSVLogger(tmp_path, "plain", "")
    runner = trainer(tmp_path, LearningRateMonitor("step"), log_every_n_steps=1)
    runner.loggers = [plain]
    runner.fit(module(max_problems=16), data())
    lines = (tmp_path / "plain" / "metrics.csv").read_text().splitlines()
    at = lines[0].split(",").index("step")
    assert {line.split(",")[at] for line in lines[1:]} == {"0", "8", "16"}

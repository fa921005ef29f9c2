"""What a run owns, keeps and leaves, through the command line: the quickstart with few problems."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flowdpo_pl.cli import main
from flowdpo_pl.errors import Interrupted, UserError
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.results.run_folder import read_mark
from tests.runs import ROOT

QUICKSTART = ["--config", str(ROOT / "configs" / "quickstart.yaml")]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def words(folder: Path, verb: str, *arguments: str) -> list[str]:
    place = f"--trainer.logger.init_args.save_dir={folder}"
    small = ["--data.batch_size=8", "--data.validation.limit=16", "--model.max_problems=16"]
    return [verb, *QUICKSTART, place, *small, *arguments]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def untouched(folder: Path, *arguments: str, verb: str = "fit", match: str) -> None:
    before = contents(folder)
    with pytest.raises(UserError, match=match):
        main(words(folder, verb, *arguments))
    assert contents(folder) == before


def metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as rows:
        return list(csv.DictReader(rows))


def without_times(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    changing = ("second", "memory")
    return [
        {name: value for name, value in row.items() if not any(part in name for part in changing)}
        for row in rows
    ]


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints/last.ckpt", weights_only=True)[
        "state_dict"
    ]
    return state


def same_runs(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    curves = [(run / "accuracy_curve.csv").read_text() for run in (one, other)]
    rows = [without_times(metrics(run)) for run in (one, other)]
    return all(torch.equal(a[name], b[name]) for name in a) and curves[0] == curves[1] and rows[0] == rows[1]


def test_a_run_is_kept_resumed_and_replaced_only_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(words(tmp_path, "fit"))
    run = tmp_path / "quickstart"
    mark = read_mark(run)
    assert mark is not None and mark.verb == "fit" and (run / "config.yaml").is_file()
    assert "overwrite" not in (run / "config.yaml").read_text()
    untouched(tmp_path, match="holds a run already .*--ckpt_path=last.*--overwrite")
    untouched(tmp_path, "--overwrite=same", "--model.learning.lr=1e-3", match="of other settings")
    untouched(
        tmp_path, "--overwrite", "--data.train.path=nowhere.jsonl", match="nowhere.jsonl does not exist"
    )
    main(words(tmp_path, "fit", "--ckpt_path=last"))  # a finished run: nothing to do, nothing lost
    assert [row["problems_seen"] for row in metrics(run)] == ["8", "16"]
    main(words(tmp_path, "fit", "--ckpt_path=last", "--model.max_problems=24"))
    main(words(tmp_path / "whole", "fit", "--model.max_problems=24"))
    assert same_runs(run, tmp_path / "whole" / "quickstart")
    untouched(tmp_path, f"--ckpt_path={run}/checkpoints/problems_000016.ckpt", match="would be lost")
    capsys.readouterr()
    main(words(tmp_path, "fit", "--overwrite", "--model.max_problems=8"))
    assert "the earlier run (24 problems, finished" in capsys.readouterr().out
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "last.ckpt",
        "problems_000008.ckpt",
    ]
    assert [row["problems_seen"] for row in metrics(run)] == ["8"]
    main(words(tmp_path, "fit", "--overwrite=same", "--model.max_problems=8"))
    assert "is replaced" in capsys.readouterr().out


def test_a_development_run_writes_nothing(tmp_path: Path) -> None:
    for verb in ("fit", "validate"):
        main(words(tmp_path, verb, "--trainer.fast_dev_run=true"))
    assert list(tmp_path.iterdir()) == []
    main(words(tmp_path, "fit", "--model.max_problems=8"))
    before = contents(tmp_path)
    main(words(tmp_path, "fit", "--trainer.fast_dev_run=true"))
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "loggers",
    [
        [],
        ["--trainer.logger=false"],
        ["--trainer.logger.init_args.version=one"],
        ["--trainer.logger.class_path=lightning.pytorch.loggers.CSVLogger"],
        ["--trainer.logger+=TensorBoardLogger"],
    ],
    ids=["the default", "none", "a version", "lightning's", "two"],
)
def test_validate_leaves_the_training_s_files_alone(loggers: list[str], tmp_path: Path) -> None:
    root = [f"--trainer.default_root_dir={tmp_path / 'root'}", "--model.max_problems=8"]
    main(words(tmp_path, "fit", *root))
    before = contents(tmp_path)
    given = [word.replace("{folder}", str(tmp_path)) for word in loggers]
    last = tmp_path / "quickstart" / "checkpoints" / "last.ckpt"
    main(words(tmp_path, "validate", *root, *given, f"--ckpt_path={last}"))
    assert before.items() <= contents(tmp_path).items()
    untouched(tmp_path, *root, *given, verb="validate", match="holds a run already .*--overwrite")


def test_the_last_checkpoint_of_the_run_is_validated_and_best_is_asked_for(tmp_path: Path) -> None:
    untouched(
        tmp_path, "--ckpt_path=last", match="does not exist; give the file .*, or leave it out to start"
    )
    untouched(tmp_path, "--ckpt_path=last", verb="validate", match="does not exist")
    main(words(tmp_path, "fit", "--model.max_problems=24", "--model.window=8"))
    by_word = main(words(tmp_path, "validate", "--ckpt_path=last")).trainer.ckpt_path
    assert by_word == str(tmp_path / "quickstart" / "checkpoints" / "last.ckpt")
    best = words(tmp_path, "validate", "--ckpt_path=best", "--overwrite", "--model.window=8")
    assert main(best).trainer.ckpt_path == str(tmp_path / "quickstart" / "checkpoints" / "best.ckpt")
    elsewhere = ["--trainer.logger.init_args.name=elsewhere", "--model.window=8", "--model.max_problems=32"]
    main(words(tmp_path, "fit", *elsewhere, f"--ckpt_path={tmp_path / 'quickstart'}"))
    assert (tmp_path / "elsewhere" / "checkpoints" / "best.ckpt").is_file()


def signalled_in_play(monkeypatch: pytest.MonkeyPatch, number: int, batch: int) -> None:
    """Sends this process a signal when the n-th batch begins to be played."""
    play: Callable[..., Any] = Rollouts.play
    played = []

    def playing(rollouts: Rollouts, *arguments: Any) -> Any:
        played.append(None)
        if len(played) == batch:
            os.kill(os.getpid(), number)
        return play(rollouts, *arguments)

    monkeypatch.setattr(Rollouts, "play", playing)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_batch_is_played_loses_nothing(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "quickstart"
    with monkeypatch.context() as patch:
        signalled_in_play(patch, number, batch=2)
        with pytest.raises(Interrupted) as ended:
            main(words(tmp_path, "fit", "--model.max_problems=32"))
    assert ended.value.code == 128 + number
    assert json.loads((run / "summary.json").read_text())["ended"] == "Interrupted"
    names = {path.name for path in (run / "checkpoints").iterdir()}
    assert names == {"problems_000008.ckpt", "problems_000016.ckpt", "last.ckpt"}, "at the signal, and after"
    early = words(tmp_path, "fit", "--model.max_problems=32", "--trainer.logger.init_args.name=early")
    main([*early, f"--ckpt_path={run / 'checkpoints' / 'problems_000008.ckpt'}"])
    main(words(tmp_path, "fit", "--model.max_problems=32", "--ckpt_path=last"))
    main(words(tmp_path / "whole", "fit", "--model.max_problems=32"))
    assert same_runs(run, tmp_path / "whole" / "quickstart")
    a, b = weights(tmp_path / "early"), weights(run)
    assert all(torch.equal(a[name], b[name]) for name in a), "what was saved inside the batch goes on as well"


@pytest.mark.long
def test_processes_end_with_the_status_of_their_signal(tmp_path: Path) -> None:
    for number, name in ((signal.SIGTERM, "a"), (signal.SIGINT, "b")):
        arguments = words(
            tmp_path, "fit", "--model.max_problems=100000", f"--trainer.logger.init_args.name={name}"
        )
        program = [sys.executable, "-m", "flowdpo_pl", *arguments]
        child = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        table = tmp_path / name / "metrics.csv"
        deadline = time.monotonic() + 240
        while not table.exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        child.send_signal(number)
        child.communicate(timeout=240)
        assert child.returncode == 128 + number
        assert (tmp_path / name / "checkpoints" / "last.ckpt").is_file()

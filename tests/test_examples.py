"""The examples do what they say, by the commands that stand at their top."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from examples.verifier import with_units
from flowdpo_pl.cli import main
from flowdpo_pl.types import Problem
from flowdpo_pl.verify.function_verifier import FunctionVerifier

ROOT = Path(__file__).parents[1]


def words_at_the_top(file: str) -> list[str]:
    """The words behind `python -m flowdpo_pl` in a file's docstring."""
    command = re.search(r"python -m flowdpo_pl (.*)", (ROOT / "examples" / file).read_text(encoding="utf-8"))
    assert command is not None
    return shlex.split(command[1])


@pytest.mark.parametrize(
    ("prediction", "gold", "score"),
    [
        ("The answer is 5 km.", "5000 m", 1.0),
        ("The answer is 5 miles.", "5 km", 0.0),
        ("The answer is 5.", "5 km", 0.5),
        ("The answer is 5 apples.", "5 km", 0.0),
        ("The answer is 3. No, the answer is 4.", "4", 1.0),
        ("5", "5", 0.0),
    ],
)
def test_the_verifier_minds_units(prediction: str, gold: str, score: float) -> None:
    assert with_units(prediction, gold) == score
    worker = FunctionVerifier("examples.verifier.with_units", in_process=True)
    assert worker.judge(prediction, Problem("p", "q", gold)).score == score


def test_the_verifier_s_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("configs", "quickstart", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    main(
        [
            *words_at_the_top("verifier.py"),
            "--model.max_problems=32",
            "--trainer.callbacks=callbacks.RunSummary",
        ]
    )
    summary = json.loads((tmp_path / "runs" / "quickstart" / "summary.json").read_text())
    assert summary["problems_seen"] == 32 and any(summary["pairs"].values())

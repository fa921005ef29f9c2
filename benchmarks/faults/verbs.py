"""The commands that faults are tried on, each with the one that goes on after it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
STUDY = ROOT / "configs/quickstart_study"
PROBLEMS = ROOT / "quickstart/problems"
BASE = f"--model.team.base.path={ROOT}/quickstart/model"
Words = tuple[str, ...]


@dataclass(frozen=True)
class Verb:
    """One command, run in a folder of its own."""

    name: str
    commands: tuple[Words, ...]
    """What starts it, and what else may go on with it."""
    again: Callable[[Path], Words]
    """Which of them the docs say, for what is in the folder."""
    prepare: Callable[[Path], None] = lambda folder: folder.mkdir()
    """Makes the folder that it starts in."""


def fit() -> Verb:
    """docs/runs.md: `--ckpt_path=last`; a run that was killed before its first checkpoint is replaced."""
    words = (
        *("fit", f"--config={ROOT}/configs/quickstart.yaml", f"--config={HERE}/tiny.yaml", BASE),
        f"--data.train.path={PROBLEMS}/train.jsonl",
        f"--data.validation.path={PROBLEMS}/valid.jsonl",
    )
    return _trained("fit", words, "runs/tiny")


def _trained(name: str, words: Words, run: str) -> Verb:
    on = (*words, "--ckpt_path=last")
    return Verb(
        name, (words, on), lambda folder: on if any(folder.glob(f"{run}/checkpoints/*.ckpt")) else words
    )


VERBS: dict[str, Callable[[], Verb]] = {"fit": fit}

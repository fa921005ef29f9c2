"""A finished `test` on disk: its predictions, and how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.foreign_json import read_json
from flowdpo_pl.results.predictions import Prediction, read_predictions

_NAMES = ("predictions.jsonl", "predictions.jsonl.gz")
_UNFINISHED = "predictions.unfinished.jsonl"
_OF_BASE = ("fingerprint", "dtype", "quantization")
"""What answers depend on; the same weights may lie in several places."""


@dataclass(frozen=True)
class Tested:
    """The predictions of a `test`."""

    path: Path
    """Of the file of predictions."""
    predictions: list[Prediction]
    made_by: Mapping[str, Any] | None
    """As in the `summary.json` beside it, without what answers don't depend on; None where there is none."""

    @property
    def verifier(self) -> str | None:
        """Who judged; None if nobody knows."""
        return None if self.made_by is None else self.made_by.get("verifier")


def read_test(where: Path) -> Tested:
    """A test by its file of predictions, by its folder, or by the run's folder that holds `test/`.

    Raises:
        UserError: there is none, or it has not ended; the file or the summary beside it is of another form.
    """
    path = _predictions_of(where) if where.is_dir() else where
    return Tested(path, read_predictions(path), _made_by(path.parent / "summary.json"))


def holds_test(folder: Path) -> bool:
    """Whether a test is there, finished or not."""
    return any(place.is_file() for place in _files(folder, *_NAMES, _UNFINISHED))


def _predictions_of(folder: Path) -> Path:
    for found in _files(folder, *_NAMES):
        if found.is_file():
            return found
    for unfinished in _files(folder, _UNFINISHED):
        if unfinished.is_file():
            raise UserError(f"the test in {unfinished.parent} has not ended: run its command again.")
    raise UserError(f"{folder} holds no {_NAMES[0]}, nor does its test/: give the folder of a run of `test`.")


def _files(folder: Path, *names: str) -> list[Path]:
    return [place / name for place in (folder, folder / "test") for name in names]


def _made_by(summary: Path) -> dict[str, Any] | None:
    if not summary.is_file():
        return None
    read = read_json(summary, "the summary of a `test`")
    made_by = (read.get("made_by") or {}) if isinstance(read, dict) else None
    base = (made_by.get("base") or {}) if isinstance(made_by, dict) else None
    if not isinstance(made_by, dict) or not isinstance(base, dict):
        raise UserError(
            f"{summary} is no summary of a `test`, whose made_by, and the base in it, are objects: "
            "mend it or move it away."
        )
    told = {"base": {name: base.get(name) for name in _OF_BASE}} if base else {}
    return made_by | told or None

"""What a run learnt from: sources as its config names them, and what its checkpoint knows of their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowdpo_pl.results.checkpoint_files import held_by, newest_whole
from flowdpo_pl.results.trained_run import TrainedRun


@dataclass(frozen=True)
class LearntFrom:
    """A source of problems or traces."""

    name: str
    """Hub id, or a file's path as far as it says nothing of a machine."""
    on_hub: bool
    settings: Mapping[str, Any]
    """What else its config says."""
    rows: str = ""
    """What the checkpoint remembers of the rows: a digest, or how many."""


def learnt_from(run: TrainedRun) -> list[LearntFrom]:
    """The sources of training, in order; none of an export.

    Raises:
        UserError: the newest whole checkpoint is none of a run here.
    """
    rows = _remembered(run.folder / "checkpoints")
    return [_source(run, given, rows) for given in _given(run.data.get("init_args") or {})]


def _given(settings: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    given = settings.get("train")
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, Mapping) and one.get("path"):
            yield one
        elif isinstance(one, str):
            yield {"path": one}


def _source(run: TrainedRun, given: Mapping[str, Any], rows: str) -> LearntFrom:
    path = str(given["path"])
    place = Path(run.found(path)).expanduser()
    on_hub = not place.exists() and not place.suffix and path.count("/") <= 1 and path[0] not in "./~"
    name = path if on_hub or not Path(path).expanduser().is_absolute() else Path(path).name
    others = {key: value for key, value in given.items() if key != "path" and value is not None}
    return LearntFrom(name, on_hub, others, rows)


def _remembered(checkpoints: Path) -> str:
    """What the newest whole checkpoint knows of the rows, which are the same in all of a run."""
    if (checkpoint := newest_whole(checkpoints)) is None:
        return ""
    saved = held_by(checkpoint)
    identity = _inner(_inner(saved, "TraceDataModule"), "identity")
    return str(_inner(saved, "PromptDataModule").get("rows") or identity.get("data.train") or "")


def _inner(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, Mapping) else {}

"""The finished tests of some adapters, wherever they lie beside the run that made them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowdpo_pl.results.typed_values import NUMBER, TEXT, WHOLE, require_types
from flowdpo_pl.types import Agent

_NUMBERS = ("accuracy", "low", "high", "temperature")
_TYPES = {
    "flow": TEXT,
    **dict.fromkeys(("problems", "samples", "seed"), WHOLE),
    **dict.fromkeys(_NUMBERS, NUMBER),
}


@dataclass(frozen=True)
class Score:
    """A `test` of a flow with these adapters."""

    data: str
    """Path of its problems, as far as it says nothing of a machine."""
    flow: str
    problems: int
    samples: int
    """A problem."""
    accuracy: float
    low: float
    high: float
    temperature: float
    seed: int


def scores_of(folder: Path, adapters: Mapping[Agent, str]) -> list[Score]:
    """Tests in a run's folder, and in those beside it, that played with no other adapters than these.

    Args:
        folder: of the run.
        adapters: fingerprints, by agent.
    """
    places = [folder / "test", *sorted(folder.resolve().parent.glob("*/test"))]
    found = {place.resolve(): score for place in places if (score := _score(place, adapters)) is not None}
    return list(found.values())


def _score(folder: Path, adapters: Mapping[Agent, str]) -> Score | None:
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        made_by, played = summary["made_by"], summary["made_by"]["adapters"]
        if summary.get("ended") != "finished" or not played or not played.items() <= adapters.items():
            return None
        known = {
            "flow": made_by["flow"]["class"],
            "problems": summary["problems"],
            "samples": made_by["samples"],
            **{key: summary[key] for key in ("accuracy", "low", "high")},
            "temperature": made_by["sampling"]["temperature"],
            "seed": made_by["seed"],
        }
        require_types(known, _TYPES, {}, "a test")
        known |= {key: float(known[key]) for key in _NUMBERS}
        return Score(data=_data(folder), **known)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None  # another program's, an older one, or one of no problem


def _data(folder: Path) -> str:
    import yaml

    try:
        config: Any = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        path = str(config["data"]["init_args"]["test"]["path"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError, yaml.YAMLError):
        return "unknown"
    return Path(path).name if Path(path).is_absolute() else path


def shown(scores: list[Score]) -> Iterator[tuple[str, ...]]:
    """Rows of a table."""
    for one in scores:
        way = "greedy" if one.temperature == 0 else f"temperature {one.temperature:g}"
        samples = f", {one.samples} samples" if one.samples > 1 else ""
        right = f"{one.accuracy:.1%} ({one.low:.1%} to {one.high:.1%})"
        yield one.data, f"{one.problems:,}", right, f"{one.flow}, {way}{samples}, seed {one.seed}"

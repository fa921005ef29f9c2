"""The line that says what a verb has taken of a run, and what was given instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flowdpo_pl.command_line.given import CLASS
from flowdpo_pl.command_line.places import whole_path


def told_of(folder: Path, which: str, known: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """
    Args:
        folder: of the run.
        which: of its adapters.
        known: what the run says, flattened.
        given: what is given beside it, flattened.
    """
    team = known["model"]["team"]
    base, adapters = team["base"], team["start"]["adapters"]
    kind = base.get("quantization") or base.get("dtype")
    parts = {
        "model.team.base.path": f"base {base['path']}" + (f" ({kind})" if kind else ""),
        "model.team.prompts": "prompts",
        "model.team.flow": _flow(team.get("flow")),
        "model.verifier": _name(known["model"].get("verifier")) or "MathVerifier",
        "model.team.start.adapters": f"adapters {which} of {' and '.join(adapters) or 'nobody'}",
        "seed_everything": f"seed {known['seed_everything']}",
    }
    instead = [key for key, value in _leaves(given) if _takes(known, key) and not _is(known, key, value)]
    taken = [words for key, words in parts.items() if words and key not in instead]
    told = f"taken from {folder}: {', '.join(taken)}"
    return told + (f"; given instead: {', '.join(instead)}" if instead else "")


def _flow(given: Any) -> str:
    """Its name; of one move, how long that may be."""
    tokens = given.get("max_tokens") if isinstance(given, Mapping) else None
    return _name(given) + (f" of {tokens} tokens" if tokens else "")


def _leaves(given: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; a class stands at its own key."""
    if isinstance(given, Mapping) and given:
        for name, value in given.items():
            yield from _leaves(value, key if name == CLASS else f"{key}.{name}".lstrip("."))
    else:
        yield key, given


def _takes(known: Mapping[str, Any], key: str) -> bool:
    """Whether the run says something at this key, or of the class that stands above it."""
    first, _, rest = key.partition(".")
    return key == "seed_everything" or (
        (first == "model" and rest.partition(".")[0] in known["model"])
        or (first == "data" and rest.partition(".")[0] in known["data"])
    )


def _is(known: Mapping[str, Any], key: str, value: Any) -> bool:
    """Whether the run says the same; on the command line everything is text."""
    return str(_at(known, key)) == whole_path(str(value))


def _at(known: Mapping[str, Any], key: str) -> Any:
    value: Any = known
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        return value.get(CLASS)
    return value


def _name(given: Any) -> str:
    """Of a class or function, without its package."""
    path = given.get(CLASS) if isinstance(given, Mapping) else given
    return str(path).rpartition(".")[2] if path else ""

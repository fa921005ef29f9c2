"""What a base is called away from this machine: its hub id where one is known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_SNAPSHOT = re.compile(r"models--(?P<id>[\w.-]+)/snapshots/(?P<commit>[0-9a-f]{40})/?$", re.ASCII)
"""Where the hub's client keeps its copy of a model."""


@dataclass(frozen=True)
class BaseName:
    """A base by name."""

    path: str
    """Its hub id; of a folder a relative path that begins with a dot, which can't mean the hub."""
    revision: str = "main"
    """Of a hub id."""

    @property
    def on_hub(self) -> bool:
        return not self.path.startswith(".")


def base_name(path: str, is_folder: bool, revision: str = "main", hub_id: str | None = None) -> BaseName:
    """The name of a base.

    Args:
        path: as a config or an argument gives it.
        is_folder: whether that is one on this machine.
        revision: of a hub id.
        hub_id: its name on the hub, if one is told.
    """
    if hub_id is not None:
        return BaseName(hub_id, revision)
    if copy := _SNAPSHOT.search(path):
        return BaseName(copy["id"].replace("--", "/", 1), copy["commit"])
    if not is_folder and _HUB_ID.fullmatch(path) and not path.startswith("."):
        return BaseName(path, revision)
    place = Path(path).expanduser()
    if place.is_absolute():
        return BaseName(f"./{place.name}")  # the rest is this machine's
    return BaseName(path if path.startswith(".") else f"./{path}")

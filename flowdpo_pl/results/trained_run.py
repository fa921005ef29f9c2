"""A finished run of `fit` as what others take from it: its team, its adapters, its trees.

What `export` has written of a run is one too, of which no more is left than its team and its adapters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.run_folder import read_mark
from flowdpo_pl.types import Agent

CONFIG = "config.yaml"
TREES = "trees.jsonl"
FLOW = "flow.yaml"
"""An export's config: the sections of a run's that say how its agents play."""
LAST = "last"
_FINE_TUNED = "adapter"
"""The one folder of a run that fine-tunes; a flow's run has one an agent, in `adapters/WHICH`."""


@dataclass(frozen=True)
class TrainedRun:
    """The folder of a run of `fit`, and what its saved config says."""

    folder: Path
    config: Mapping[str, Any]
    """As it was saved, defaults included."""
    started_in: tuple[Path, ...] = ()
    """Where relative paths of the config may begin, the likeliest first: where the run was started, as it
    says itself or as its own place tells."""

    @classmethod
    def at(cls, folder: Path | str) -> TrainedRun:
        """Read what is in the folder; nothing is imported, no weight is read.

        Raises:
            UserError: it is no folder of a run of `fit`, or its config names no team.
        """
        folder = Path(folder).expanduser()
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder: give that of a run of `fit`, such as runs/quickstart.")
        if (folder / FLOW).is_file() and not (folder / CONFIG).is_file():
            return cls(folder, _with_team(folder / FLOW))
        if not (folder / CONFIG).is_file():
            raise UserError(f"{folder} is no run's folder (it has no {CONFIG}): {_meant(folder)}")
        mark = read_mark(folder)
        if mark is not None and mark.verb not in ("fit", ""):
            raise UserError(f"{folder} is what `{mark.verb}` has made: give the folder of a run of `fit`.")
        run = cls(folder, _with_team(folder / CONFIG))
        return cls(folder, run.config, tuple(run._origins(mark.directory if mark is not None else "")))

    @property
    def is_exported(self) -> bool:
        """Whether it is what `export` has written of a run."""
        return (self.folder / FLOW).is_file() and not (self.folder / CONFIG).is_file()

    @property
    def module(self) -> str:
        """Path of the class of its module."""
        return str(self._section("model").get("class_path", ""))

    @property
    def settings(self) -> Mapping[str, Any]:
        """Of its module."""
        return _mapping(self._section("model").get("init_args"))

    @property
    def data(self) -> Mapping[str, Any]:
        """Its section `data`: class and arguments."""
        return self._section("data")

    @property
    def team(self) -> Any:
        return self.settings.get("team")

    @property
    def base(self) -> Any:
        return _mapping(self.team).get("base")

    @property
    def is_fine_tuned(self) -> bool:
        """Whether one model learnt from traces, so that its answers are written in one go."""
        return (self.folder / _FINE_TUNED).is_dir() or self.module.endswith(".SFTModule")

    def adapters(self, which: str = LAST) -> dict[Agent, str]:
        """Folders of the agents' adapters, by agent; of a fine-tuned model one, whose agent is unnamed.

        Args:
            which: `last`, `best`, or another name in the run's `adapters`.

        Raises:
            UserError: there are none, or none of that name.
        """
        if self.is_exported:
            there, folder = [LAST], self.folder
            found = {place.name: place for place in sorted(folder.glob("*")) if _is_adapter(place)}
            if not found:
                raise UserError(
                    f"{self.folder} holds merged models, no adapters on one base: export without --merged."
                )
        elif self.is_fine_tuned:
            there = [LAST] if _is_adapter(self.folder / _FINE_TUNED) else []
            folder, found = self.folder / _FINE_TUNED, {"": self.folder / _FINE_TUNED}
        else:
            there = sorted(place.name for place in self.folder.glob("adapters/*") if place.is_dir())
            folder = self.folder / "adapters" / which
            found = {place.name: place for place in sorted(folder.glob("*")) if _is_adapter(place)}
        if not there:
            raise UserError(
                f"{self.folder} has no adapters yet: its first checkpoint was not written; let it go on "
                f"(fit --config {self.folder / CONFIG}), with the checkpoint callback of its module."
            )
        if which not in there or not found:
            raise UserError(f"{self.folder} has no adapters '{which}': it has {', '.join(there)}.")
        return {agent: str(place) for agent, place in found.items()}

    def trees(self) -> Path:
        """The file of its rollout trees.

        Raises:
            UserError: it kept none.
        """
        if not (found := self.folder / TREES).is_file():
            raise UserError(
                f"{self.folder} kept no trees: run `fit` with --trainer.callbacks+=callbacks.TreeLog."
            )
        return found

    def summary(self) -> Mapping[str, Any]:
        """Its `summary.json`; empty where there is none that can be read."""
        try:
            return _mapping(json.loads((self.folder / "summary.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def base_path(self, by: str = "--model.team.base.path") -> str:
        """Its base, from here: as its config says it, or whole where it lies elsewhere; or a hub id.

        Args:
            by: the argument that gives another one, for the message.

        Raises:
            UserError: it means a folder, and that is not there.
        """
        path = str(self.base["path"])
        found = self.found(path)
        looks_local = path.startswith((".", "/", "~")) or path.count("/") > 1
        if looks_local and not Path(found).expanduser().exists():
            where = [place for place in (*self.started_in, Path.cwd()) if not Path(path).is_absolute()]
            looked = f" (looked from {' and '.join(map(str, dict.fromkeys(where)))})" if where else ""
            raise UserError(
                f"the base of {self.folder}, {path}, is not there{looked}: give its folder or hub id by "
                f"{by}=BASE."
            )
        return found

    def found(self, path: str) -> str:
        """A path of the config, from here: relative ones as when the run was started, else from here."""
        if Path(path).expanduser().is_absolute():
            return path
        for origin in self.started_in:
            if (there := origin / path).exists():
                here = Path(path)
                return path if here.exists() and here.samefile(there) else str(there)
        return path

    def _section(self, name: str) -> Mapping[str, Any]:
        return _mapping(self.config.get(name))

    def _origins(self, told: str) -> Iterator[Path]:
        if told:
            yield Path(told)
        # A run that says nothing lies in the folder that its config names, unless it was moved alone.
        named = Path(str(self._section("trainer").get("default_root_dir") or "/"))
        place, depth = self.folder.resolve(), len(named.parts)
        if not named.is_absolute() and place.parts[-depth:] == named.parts:
            yield place.parents[depth - 1]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _with_team(file: Path) -> Mapping[str, Any]:
    config = read_config(file)
    team = _mapping(_mapping(_mapping(config.get("model")).get("init_args")).get("team"))
    if not isinstance(team.get("base"), Mapping):
        raise UserError(f"{file} names no base (model.team.base): give a run of `fit`.")
    return config


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file()


def score_margin(config: Mapping[str, Any]) -> float:
    """Of a run with this config: endings whose scores differ by no more are ties."""
    return float(_mapping(_mapping(config.get("model")).get("init_args")).get("score_margin") or 0.0)


def read_config(file: Path) -> Mapping[str, Any]:
    """The config of a run.

    Raises:
        UserError: it can't be read.
    """
    import yaml

    try:
        return _mapping(yaml.load(file.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        where = " ".join(str(error).split())
        raise UserError(f"{file} can't be read as the config of a run ({where}).") from error


def _meant(folder: Path) -> str:
    """The run that a folder near it is, or what to give."""
    inside = sorted(place.parent for place in folder.glob(f"*/{CONFIG}"))
    around = (place for place in (folder.parent, folder.parent.parent) if (place / CONFIG).is_file())
    if near := next(iter([*around, *inside]), None):
        return f"did you mean {near}?"
    return "give that of a run of `fit`, such as runs/quickstart."

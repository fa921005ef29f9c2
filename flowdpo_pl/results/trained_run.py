"""A finished run of `fit` as what others take from it: its team, its adapters, its trees.

What `export` has written of a run is one too, of which no more is left than its team and its adapters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import MARGIN, UserError
from flowdpo_pl.results.foreign_json import read_json
from flowdpo_pl.results.foreign_yaml import read_yaml
from flowdpo_pl.results.run_folder import read_mark
from flowdpo_pl.types import Agent

CONFIG = "config.yaml"
TREES = "trees.jsonl"
FLOW = "flow.yaml"
"""An export's config: the sections of a run's that say how its agents play."""
LAST = "last"
_FINE_TUNED = "adapter"
"""The one folder of a run that fine-tunes; a flow's run has one an agent, in `adapters/WHICH`."""
_LONGEST_HUB_ID = 96
_KEYS, _TEXT = "keys with values", "text"
_TEAM: dict[tuple[str, ...], tuple[tuple[type, ...], str]] = {
    ("base",): ((Mapping,), _KEYS),
    ("base", "path"): ((str,), _TEXT),
    ("prompts",): ((Mapping,), _KEYS),
    ("flow",): ((Mapping, str, type(None)), "a class"),
    ("flow", "class_path"): ((str, type(None)), _TEXT),
    ("flow", "init_args"): ((Mapping, type(None)), _KEYS),
    ("without_adapter",): ((list, tuple, type(None)), "a list, such as [stop]"),
}
"""What others read of a team: by keys, of which types it is, and those in words."""


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
            UserError: it is no folder of a run of `fit`, its config can't be read, or it names no team, or
                one of another form.
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
    def trainer(self) -> Mapping[str, Any]:
        """Its section `trainer`: arguments."""
        return self._section("trainer")

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
            return _mapping(read_json(self.folder / "summary.json", "the summary of a run"))
        except UserError:
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
        looks_local = path.startswith((".", "/", "~")) or path.count("/") > 1 or len(path) > _LONGEST_HUB_ID
        if looks_local and not is_there(found):
            where = [place for place in (*self.started_in, Path.cwd()) if not Path(path).is_absolute()]
            looked = f" (looked from {' and '.join(map(str, dict.fromkeys(where)))})" if where else ""
            raise UserError(
                f"the base of {self.folder}, {path}, is not there{looked}: give its folder or hub id by "
                f"{by}=BASE."
            )
        return found

    def found(self, path: str) -> str:
        """A path of the config, from here: relative ones as when the run was started, else from here."""
        if path.startswith("~") or Path(path).is_absolute():
            return path
        for origin in self.started_in:
            if is_there(there := origin / path):
                here = Path(path)
                return path if here.exists() and here.samefile(there) else str(there)
        return path

    def _section(self, name: str) -> Mapping[str, Any]:
        return _mapping(self.config.get(name))

    def _origins(self, told: str) -> Iterator[Path]:
        if Path(told).is_absolute():  # others lead from wherever somebody stands
            yield Path(told)
        # A run that says nothing lies in the folder that its config names, unless it was moved alone.
        named = Path(str(self.trainer.get("default_root_dir") or "/"))
        place, depth = self.folder.resolve(), len(named.parts)
        if not named.is_absolute() and place.parts[-depth:] == named.parts:
            yield place.parents[depth - 1]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def is_there(path: Path | str) -> bool:
    """Whether a path of a config leads to something; one that no system has leads nowhere."""
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, `~` and nobody's name
        return False


def _module_settings(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(_mapping(config.get("model")).get("init_args"))


def _with_team(file: Path) -> Mapping[str, Any]:
    config = read_config(file)
    team = _mapping(_module_settings(config).get("team"))
    if not isinstance(team.get("base"), Mapping):
        raise UserError(f"{file} names no base (model.team.base): give a run of `fit`.")
    for keys, (types, words) in _TEAM.items():
        value: Any = team
        for key in keys:
            value = _mapping(value).get(key)
        if not isinstance(value, types):
            key = ".".join(("model", "team", *keys))
            raise UserError(f"{file} has no {words} at {key}: give a run of `fit`, or mend it.")
    return config


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file()


def score_margin(config: Mapping[str, Any]) -> float:
    """Of a run with this config: endings whose scores differ by no more are ties.

    Raises:
        UserError: it says something else there.
    """
    margin = _module_settings(config).get("score_margin") or 0.0
    try:
        number = float(margin)
    except (TypeError, ValueError):
        number = math.nan
    if number not in MARGIN:
        raise UserError(f"the run's config has model.score_margin {margin}: mend it, to {MARGIN}.")
    return number


def read_config(file: Path) -> Mapping[str, Any]:
    """The config of a run; empty where it holds no keys.

    Raises:
        UserError: it can't be read.
    """
    return _mapping(read_yaml(file, "the config of a run"))


def _meant(folder: Path) -> str:
    """The run that a folder near it is, or what to give."""
    inside = sorted(place.parent for place in folder.glob(f"*/{CONFIG}"))
    around = (place for place in (folder.parent, folder.parent.parent) if (place / CONFIG).is_file())
    if near := next(iter([*around, *inside]), None):
        return f"did you mean {near}?"
    return "give that of a run of `fit`, such as runs/quickstart."

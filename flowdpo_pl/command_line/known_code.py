"""Which code the config of a run may name: this project's, the user's own, and what the user trusts.

Whoever names a config runs the code that it names. A run's folder is more often somebody else's, so that what
its config names is imported only where nobody has to trust that folder:

- classes of `flowdpo_pl` and `callbacks`, and the functions that `flowdpo_pl` exports;
- files below the working directory that lie outside of the run's folder, of a run that was started there;
- modules that the command itself names, or that the environment variable FLOWDPO_TRUST lists (as well as
  bases whose own code is run), with commas between them.

An engine starts programs and sends questions away by its settings alone, and who made a run is only what the
run says: it is never taken but of a run whose folder FLOWDPO_TRUST lists, of which everything is.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flowdpo_pl.command_line.definitions import Definition, class_at, exported
from flowdpo_pl.command_line.environment import names_environment
from flowdpo_pl.command_line.given import CLASS, flattened
from flowdpo_pl.command_line.kinds import Kind
from flowdpo_pl.command_line.named_code import inner_values, is_dotted, named_code
from flowdpo_pl.command_line.places import OWN_PACKAGES, Place, whole_path
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.run_folder import read_mark
from flowdpo_pl.results.trained_run import TrainedRun, is_there

TRUST = "FLOWDPO_TRUST"
_REMOTE = "trust_remote_code"
_ENGINE = "engine"
_FACE = "flowdpo_pl"
_NATIVE = f"{_FACE}.Native"
_SECTIONS = {"model": "flowdpo_pl.EvaluationModule", "data": "flowdpo_pl.PromptDataModule"}


def require_known(run: TrainedRun, taken: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Look through what is taken of a run; nothing is imported.

    Args:
        run: whose folder it is.
        taken: those parts of its config: `model`, or `model` and `data`.
        given: what the command says beside it, flattened.

    Raises:
        UserError: its config names code that is not known, or would read the environment; says how to trust
            it.
    """
    if is_trusted(run):
        return
    trusted = {*_trusted(), *(_module(name) for name in named_code(given) if is_dotted(name))}
    for section, part in taken.items():
        usual = class_at(_SECTIONS[section])
        place = Place(section, Kind(owner=usual), flattened(part), usual)
        for name in named_code(part, place):
            _require_known_name(run, name, trusted)
    _require_plain(run, taken, trusted)


def _require_known_name(run: TrainedRun, name: str, trusted: set[str]) -> None:
    whole = whole_path(name)
    module = _module(whole)
    if not is_dotted(whole) or is_there(whole):  # the parser looks for files first
        raise UserError(
            f"the config of {run.folder} has {name!r} where it must name a class or function, such as "
            f"my_module.MyClass: {_ways(run)}."
        )
    if _is_for_all(whole) or _within(module, trusted) or _is_users(module, run):
        return
    if _within(module, OWN_PACKAGES):
        raise UserError(
            f"the config of {run.folder} names {name}, which is no class of this project and no function "
            f"that it exports: take the version that made the run, or {_ways(run)}."
        )
    raise UserError(
        f"the config of {run.folder} names {name}, code that is not of this project: if you know it, "
        f"put {TRUST}={module} before the command."
    )


def _require_plain(run: TrainedRun, taken: Mapping[str, Any], trusted: set[str]) -> None:
    """
    Raises:
        UserError: a value stands for another one, or lets the base run code.
    """
    base = str(run.base.get("path"))
    for key, value in inner_values(taken):
        if isinstance(value, str) and names_environment(value):
            raise UserError(
                f"the config of {run.folder} has {value!r}, which would be read from your environment, as no "
                f"run has it: {_ways(run)}."
            )
        if key == _REMOTE and value and base not in trusted:
            raise UserError(
                f"the config of {run.folder} lets its base run code of its own ({_REMOTE}): if you trust "
                f"{base}, put {TRUST}={base} before the command."
            )


def _ways(run: TrainedRun) -> str:
    return f"mend it there, or, if you trust the run, put {TRUST}={run.folder} before the command"


def is_trusted(run: TrainedRun) -> bool:
    """Whether FLOWDPO_TRUST lists the run's folder."""
    here = run.folder.resolve()
    return any(_resolved(name) == here for name in _trusted())


def played_team(run: TrainedRun) -> dict[str, Any]:
    """The run's team; of a run that is not trusted without its engine, and so on this machine."""
    if is_trusted(run):
        return dict(run.team)
    return {key: value for key, value in run.team.items() if str(key).partition(".")[0] != _ENGINE}


def told_of_engine(run: TrainedRun, given: Mapping[str, Any]) -> str:
    """A sentence where the run's engine is left; "" where it has none, or the command names another.

    Args:
        run: the run.
        given: what the command says beside it, flattened.
    """
    own, model = _class_of(run.team.get(_ENGINE)), given.get("model")
    team = model.get("team") if isinstance(model, Mapping) else None
    named = team.get(_ENGINE) if isinstance(team, Mapping) else None
    if not own or _ours(own) == class_at(_NATIVE) or _class_of(named) or is_trusted(run):
        return ""
    return (
        f"{run.folder} was played on {own}, which may start programs and send questions away, so that it is "
        f"not taken of a run: this machine plays; if you trust the run, put {TRUST}={run.folder} before the "
        "command."
    )


def _class_of(given: Any) -> str:
    """The class that is named, whole; "" if none is."""
    name = given.get(CLASS) if isinstance(given, Mapping) else given
    return whole_path(str(name)) if name else ""


def _trusted() -> Iterator[str]:
    """What FLOWDPO_TRUST lists."""
    return filter(None, (name.strip() for name in os.environ.get(TRUST, "").split(",")))


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _within(module: str, packages: set[str] | tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _ours(name: str) -> Definition | None:
    """A class or function that is defined here, and not only imported here, as `subprocess` is."""
    found = class_at(name) if _within(_module(name), OWN_PACKAGES) else None  # of no other the source is read
    return found if found is not None and _within(found.home, OWN_PACKAGES) else None


def _is_for_all(name: str) -> bool:
    """Whether it is a class of ours, or a function that is exported: others do more than judge."""
    found = _ours(name)
    return found is not None and (
        isinstance(found.node, ast.ClassDef)
        or (found.name in exported(_FACE) and found == class_at(f"{_FACE}.{found.name}"))
    )


def _is_users(module: str, run: TrainedRun) -> bool:
    """Whether it is a file below the working directory, where the run was started, and none of the run's."""
    mark, here = read_mark(run.folder), Path.cwd()
    # a relative directory is wherever somebody stands: it proves nothing
    if mark is None or not Path(mark.directory).is_absolute() or _resolved(mark.directory) != here.resolve():
        return False
    place = here.joinpath(*module.split(".")).resolve()
    if place.is_relative_to(run.folder.resolve()):
        return False
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def _resolved(path: str) -> Path | None:
    """None: no system has such a path."""
    try:
        return Path(path).expanduser().resolve()
    except (OSError, ValueError, RuntimeError):
        return None

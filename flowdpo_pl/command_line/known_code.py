"""Which code the config of a run may name: this project's, the user's own, and what the user trusts.

Whoever names a config runs the code that it names. A run's folder is more often somebody else's, so that what
its config names is imported only where nobody has to trust that folder:

- classes and functions of `flowdpo_pl` and `callbacks`;
- files below the working directory that lie outside of the run's folder, of a run that was started there;
- modules that the command itself names, or that the environment variable FLOWDPO_TRUST lists (as well as
  bases whose own code is run), with commas between them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.run_folder import read_mark
from flowdpo_pl.results.trained_run import TrainedRun

TRUST = "FLOWDPO_TRUST"
_OWN = ("flowdpo_pl", "callbacks")
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_NO_CODE = ("prompts", "start", "base", "without_adapter", "path", "labels")
"""Keys of a module, of its team or of a source below which texts are texts."""
_REMOTE = "trust_remote_code"


def require_known(run: TrainedRun, taken: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Look through what is taken of a run; nothing is imported.

    Args:
        run: whose folder it is.
        taken: those parts of its config.
        given: what the command says beside it.

    Raises:
        UserError: its config names code that is not known; says how to trust it.
    """
    trusted = {_module(name) for name in _names(given)}
    trusted |= {name.strip() for name in os.environ.get(TRUST, "").split(",")}
    for name in _names(taken):
        module = _module(name)
        if not (_within(module, (*_OWN, *trusted)) or _is_users(module, run)):
            raise UserError(
                f"the config of {run.folder} names {name}, code that is not of this project: if you know it, "
                f"put {TRUST}={module} before the command."
            )
    base = str(run.base.get("path"))
    if run.base.get(_REMOTE) and base not in trusted:
        raise UserError(
            f"the config of {run.folder} lets its base run code of its own ({_REMOTE}): if you trust {base}, "
            f"put {TRUST}={base} before the command."
        )


def _names(config: Any, key: str = "") -> Iterator[str]:
    """What might be a class or a function, as its dotted name."""
    if key in _NO_CODE or key.endswith(("_field", "_fields")):
        return
    if isinstance(config, str) and _DOTTED.fullmatch(config):
        yield config
    elif isinstance(config, Mapping):
        for name, value in config.items():
            yield from _names(value, str(name))
    elif isinstance(config, list):
        for value in config:
            yield from _names(value, key)


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages if package)


def _is_users(module: str, run: TrainedRun) -> bool:
    """Whether it is a file below the working directory, where the run was started, and none of the run's."""
    mark, here = read_mark(run.folder), Path.cwd()
    if mark is None or not mark.directory or Path(mark.directory).resolve() != here.resolve():
        return False
    place = here.joinpath(*module.split(".")).resolve()
    if place.is_relative_to(run.folder.resolve()):
        return False
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()

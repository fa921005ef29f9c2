"""A run whose objects a Python program has made, as the command line has it: a command, and a config."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import yaml
from jsonargparse import Namespace

from flowdpo_pl.modules.as_config import UnnamedError, as_config, path_of
from flowdpo_pl.modules.run_place import METRICS_TABLE
from flowdpo_pl.modules.trainer_settings import Command

_BY_CLASS = ("strategy", "plugins")
"""Arguments of the trainer that a rule asks for their classes."""
_PLAIN = (bool, int, float, str, type(None))


def command_of(
    verb: str, model: object, data: object, callbacks: Sequence[object], settings: Mapping[str, Any]
) -> Command:
    """What is checked of a command of the trainer (`trainer_settings`).

    Args:
        verb: `fit`, `validate`, `test` or `predict`.
        model: the module.
        data: the data module, or what stands for one.
        callbacks: of the trainer.
        settings: its other arguments, by name; Lightning's defaults where one is not there.
    """
    signature = inspect.signature(lightning.Trainer).parameters
    known = {name: parameter.default for name, parameter in signature.items()} | dict(settings)
    by_class = {name: _with_paths(known[name]) for name in _BY_CLASS}
    kinds = [type(callback) for callback in callbacks]
    return Command(verb, type(model), type(data), Namespace(**(known | by_class)), kinds)


def _with_paths(value: Any) -> Any:
    """Objects by the paths of their classes, as a parsed config has them."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, list):
        return [_with_paths(inner) for inner in value]
    return Namespace(class_path=f"{type(value).__module__}.{type(value).__name__}")


def config_of(
    folder: Path, model: object, data: object, callbacks: Sequence[object], settings: Mapping[str, Any]
) -> str:
    """All arguments of a run as YAML, which `--config` takes.

    Callbacks and settings of the trainer that nobody can name are left out: no answer depends on them.

    Args:
        folder: the run's.
        model: the module.
        data: the data module.
        callbacks: of the trainer.
        settings: its other arguments, by name.

    Raises:
        UnnamedError: an object of the module or of the data has arguments that are not known.
    """
    named = {"model": as_config(model), "data": as_config(data)}
    seeds = {key: part["init_args"].pop("seed", 0) for key, part in named.items()}
    if len(set(seeds.values())) > 1:
        raise UnnamedError(f"two seeds (model {seeds['model']}, data {seeds['data']}): give both the same")
    table = {"save_dir": str(folder.parent), "name": folder.name, "version": ""}
    trainer = {
        **{key: value for key, value in settings.items() if isinstance(value, _PLAIN)},
        "logger": {"class_path": METRICS_TABLE, "init_args": table},
        "callbacks": [entry for callback in callbacks if (entry := _named(callback))],
        "default_root_dir": str(folder),
    }
    config = {"seed_everything": seeds["model"], "trainer": trainer, **named}
    return str(yaml.safe_dump(config, allow_unicode=True, sort_keys=False))


def _named(callback: object) -> Any:
    """The callback as a config names it; None where none could."""
    if "<locals>" in path_of(type(callback)):
        return None
    try:
        return as_config(callback)
    except UnnamedError:
        return None

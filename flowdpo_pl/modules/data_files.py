"""The local files of a run, looked for before there is a logger or a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from jsonargparse import Namespace


class NamesFiles(ABC):
    """A LightningDataModule whose missing files the command line names while it parses."""

    @classmethod
    @abstractmethod
    def require_files(cls, verb: str, arguments: Mapping[str, Any], validates: bool) -> None:
        """See that the local files that a verb will read are there; opens none, and asks no hub.

        Args:
            verb: `fit`, `validate`, `test` or `predict`.
            arguments: of this class, as a config gives them.
            validates: whether a `fit` will validate.

        Raises:
            UserError: a file is not there, or the verb's own source is not given.
        """


def require_data_files(verb: str, data: Namespace, validates: bool) -> None:
    """Ask the data module that a config names for its files, if it `NamesFiles`.

    Args:
        verb: of the trainer.
        data: `class_path` and `init_args` of the data module.
        validates: whether a `fit` will validate.

    Raises:
        UserError: see `NamesFiles.require_files`.
    """
    home, _, name = data.class_path.rpartition(".")
    module = getattr(import_module(home), name)
    if issubclass(module, NamesFiles):
        module.require_files(verb, data.init_args.as_dict(), validates)

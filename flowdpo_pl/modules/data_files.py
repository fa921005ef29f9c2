"""The local files of a run, looked for before there is a logger or a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
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


def require_data_files(verb: str, module: type, arguments: Namespace, validates: bool) -> None:
    """Ask the data module that a config names for its files, if it `NamesFiles`.

    Args:
        verb: of the trainer.
        module: class of the data module.
        arguments: of it.
        validates: whether a `fit` will validate.

    Raises:
        UserError: see `NamesFiles.require_files`.
    """
    if issubclass(module, NamesFiles):
        module.require_files(verb, arguments.as_dict(), validates)

"""What callbacks may ask of a module that learns from traces, and of its data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from lightning.pytorch import LightningModule

from flowdpo_pl.errors import UserError


@runtime_checkable
class TaughtModule(Protocol):
    """A LightningModule that trains one adapter."""

    @property
    def seed(self) -> int:
        """The run's seed."""
        ...

    def identity(self) -> Mapping[str, object]:
        """What the adapter belongs to, JSON-able: base model, prompt, shape."""
        ...

    def save_adapter(self, folder: Path) -> None:
        """Writes the adapter in PEFT's format to `folder`, which doesn't exist yet."""
        ...


@runtime_checkable
class CountedData(Protocol):
    """A LightningDataModule that tells how many traces it uses, and how many not and why."""

    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """By `train` and `validation`."""
        ...


def taught(callback: object, module: LightningModule) -> TaughtModule:
    """The module as what the callbacks need.

    Raises:
        UserError: It trains no single adapter (a flow, say).
    """
    if not isinstance(module, TaughtModule):
        raise UserError(
            f"{type(callback).__name__} follows a module that learns from traces and "
            f"{type(module).__name__} doesn't: remove the callback from the config"
        )
    return module

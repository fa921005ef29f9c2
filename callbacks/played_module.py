"""What callbacks may ask of a module that plays problems: the whole seam besides the batch values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from lightning.pytorch import LightningModule

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import RolloutTree


@runtime_checkable
class PlayedModule(Protocol):
    """A LightningModule whose training and validation steps play a batch of problems.

    The members speak of the batch just played already when `on_train_batch_end` or
    `on_validation_batch_end` is called.
    """

    @property
    def problems_seen(self) -> int:
        """Position in the stream of the running verb, over all ranks: `fit` goes on counting after a
        resume, `validate` counts its own stream from 0."""
        ...

    @property
    def max_problems(self) -> int | None:
        """Position at which the stream or the run ends; None if nobody knows."""
        ...

    @property
    def trees(self) -> tuple[RolloutTree, ...]:
        """This rank's trees of the latest batch."""
        ...

    @property
    def seed(self) -> int:
        """The run's seed, of which every draw is a function."""
        ...

    def identity(self) -> Mapping[str, object]:
        """What the run is, JSON-able: base model, prompts, chunks, adapters."""
        ...

    def save_adapters(self, directory: Path) -> None:
        """Writes each agent's adapter in PEFT's format to `directory/<agent>/`, which doesn't exist yet."""
        ...


def played(callback: object, module: LightningModule) -> PlayedModule:
    """The module as what the callbacks need.

    Raises:
        UserError: It doesn't play problems (an SFT module, say).
    """
    if not isinstance(module, PlayedModule):
        raise UserError(
            f"{type(callback).__name__} follows a flow that plays problems and {type(module).__name__} "
            "plays none: remove the callback from the config"
        )
    return module

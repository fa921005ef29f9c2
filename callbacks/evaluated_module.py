"""What callbacks may ask of a module that tests or collects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import LightningModule

from flowdpo_pl.errors import UserError
from flowdpo_pl.predictions import Prediction
from flowdpo_pl.traces import Trace


@runtime_checkable
class EvaluatedModule(Protocol):
    """A LightningModule with a result of `test` or `predict`; all ranks hold the same."""

    @property
    def predictions(self) -> list[Prediction]:
        """Of `test`, so far."""
        ...

    @property
    def traces(self) -> Mapping[str, Trace]:
        """Of `predict`, so far, by problem."""
        ...

    @property
    def problems_seen(self) -> int:
        """Problems with an answer so far."""
        ...

    @property
    def problems_expected(self) -> int | None:
        """At most so many will come; None if nobody knows."""
        ...

    @property
    def accuracy(self) -> float:
        """Share of right predictions or traces so far."""
        ...

    @property
    def generated_tokens(self) -> int:
        """By all attempts so far."""
        ...

    def resume_from(self, path: Path) -> None:
        """Takes the traces of an earlier run as done."""
        ...

    def summary(self) -> dict[str, Any]:
        """The result so far as plain values."""
        ...


def evaluated(callback: object, module: LightningModule) -> EvaluatedModule:
    """The module as what the callbacks need.

    Raises:
        UserError: It neither tests nor collects.
    """
    if not isinstance(module, EvaluatedModule):
        raise UserError(
            f"{type(callback).__name__} follows flowdpo_pl.EvaluationModule, not {type(module).__name__}: "
            "remove the callback from the config"
        )
    return module

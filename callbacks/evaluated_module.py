"""What callbacks may ask of a module that tests or collects."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import LightningModule, Trainer

from callbacks.batch_log import cut_torn_line
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.collected_traces import CollectedTraces
from flowdpo_pl.results.judged_answers import JudgedAnswers


@runtime_checkable
class EvaluatedModule(Protocol):
    """A LightningModule with a result of `test` or `predict`; all ranks hold the same."""

    @property
    def results(self) -> JudgedAnswers | CollectedTraces:
        """Of the running verb, so far."""
        ...

    @property
    def problems_expected(self) -> int | None:
        """At most so many will come; None if nobody knows."""
        ...

    def resume_from(self, path: Path) -> None:
        """Takes the results of an interrupted run as done."""
        ...

    def summary(self) -> dict[str, Any]:
        """The result so far as plain values."""
        ...


def take_up(trainer: Trainer, module: EvaluatedModule, path: Path) -> None:
    """Every rank takes the whole lines that an interrupted run left in the file, if it is there."""
    if trainer.is_global_zero:
        path.parent.mkdir(parents=True, exist_ok=True)
        cut_torn_line(path)
    trainer.strategy.barrier(f"{path.name} is whole")
    if path.exists():
        module.resume_from(path)
    trainer.strategy.barrier(f"{path.name} is read")


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

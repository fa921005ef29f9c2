"""What callbacks may ask of the module that they watch: beside the batch's numbers, the whole seam.

A callback checks its module once, in `setup`, and keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import getattr_static
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.collected_traces import CollectedTraces
from flowdpo_pl.results.judged_answers import JudgedAnswers
from flowdpo_pl.types import RolloutTree


class TrainedModule(Protocol):
    """A LightningModule that trains adapters."""

    @property
    def seed(self) -> int:
        """The run's seed, of which every draw is a function."""

    @property
    def at_boundary(self) -> bool:
        """Inside a batch: whether weights and counts are still those of the batch before."""

    def identity(self) -> Mapping[str, object]:
        """What the adapters belong to, JSON-able: base model, prompts, shape. Loads and reads the base."""

    @property
    def ended_by(self) -> str:
        """What has ended the running verb, if no exception did: a setting's name, or `data`."""


class PlayedModule(TrainedModule, Protocol):
    """One whose training and validation steps play a batch of problems.

    The members speak of the batch just played already when `on_train_batch_end` or
    `on_validation_batch_end` is called.
    """

    @property
    def problems_seen(self) -> int:
        """Position in the stream of the running verb, over all ranks: `fit` goes on counting after a
        resume, `validate` counts its own stream from 0."""

    @property
    def problems_expected(self) -> int | None:
        """Position at which the stream or the run ends at the latest; None if nobody knows."""

    @property
    def score_margin(self) -> float:
        """Of two endings whose scores differ by no more, neither is the better."""

    @property
    def trees(self) -> tuple[RolloutTree, ...]:
        """Of the latest batch, of all ranks, in the order of the stream."""

    def save_adapters(self, directory: Path) -> None:
        """Writes each agent's adapter in PEFT's format to `directory/<agent>/`, which doesn't exist yet."""


class TaughtModule(TrainedModule, Protocol):
    """One that learns one adapter from traces."""

    @property
    def agent(self) -> str:
        """Whose adapter it is."""

    @property
    def total_updates(self) -> int:
        """Optimizer steps of the whole run, known from its start on."""

    def save_adapter(self, folder: Path) -> None:
        """Writes the adapter in PEFT's format to `folder`, which doesn't exist yet."""


class EvaluatedModule(Protocol):
    """A LightningModule with a result of `test` or `predict`; all ranks hold the same."""

    @property
    def results(self) -> JudgedAnswers | CollectedTraces:
        """Of the running verb, so far: answers in `test`, traces in `predict`."""

    @property
    def problems_expected(self) -> int | None:
        """About so many will come; None if nobody knows."""

    def resume_from(self, path: Path) -> None:
        """Takes the results of an interrupted run as done."""

    def summary(self) -> dict[str, Any]:
        """The result so far as plain values."""


@runtime_checkable
class CountedData(Protocol):
    """A LightningDataModule that tells how many traces it uses, and how many not and why."""

    @property
    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """By `train` and `validation`."""
        ...


def played(callback: object, module: object) -> PlayedModule:
    """The module as one that plays.

    Raises:
        UserError: It doesn't (an SFT module, say).
    """
    _require(callback, module, PlayedModule, "a flow that plays problems and {} plays none")
    return cast(PlayedModule, module)


def taught(callback: object, module: object) -> TaughtModule:
    """The module as one that learns from traces.

    Raises:
        UserError: It doesn't (a flow, say).
    """
    _require(callback, module, TaughtModule, "a module that learns from traces and {} doesn't")
    return cast(TaughtModule, module)


def evaluated(callback: object, module: object) -> EvaluatedModule:
    """The module as one that is tested or collects.

    Raises:
        UserError: It does neither.
    """
    _require(callback, module, EvaluatedModule, "flowdpo_pl.EvaluationModule, not {}")
    return cast(EvaluatedModule, module)


def _require(callback: object, module: object, protocol: type, followed: str) -> None:
    """By names alone: `isinstance` with a protocol evaluates properties, and one may load a model."""
    absent = object()
    members = (name for part in protocol.__mro__ for name in vars(part) if not name.startswith("_"))
    if any(getattr_static(module, name, absent) is absent for name in members):
        raise UserError(
            f"{type(callback).__name__} follows {followed.format(type(module).__name__)}: "
            "remove the callback from the config."
        )

"""What the LightningModules share: a team that is loaded once, and a state that is its adapters alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from lightning.pytorch import LightningModule

from flowdpo_pl.distributed import broadcast
from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import SEED, UserError, require_within
from flowdpo_pl.made_with import MadeWith
from flowdpo_pl.model.base_sample import base_sample
from flowdpo_pl.modules.adapter_strategy import refuse_wrapping
from flowdpo_pl.modules.run_logger import RunLogger, number_rows
from flowdpo_pl.plan.demand import Demand
from flowdpo_pl.play.players import Players
from flowdpo_pl.play.team import Team
from flowdpo_pl.results.provenance import MEND_CHECKPOINT, require_same


class AdapterModule(MadeWith, LightningModule):
    """A LightningModule around a team. Checkpoints hold adapters, what the subclass adds, never the base."""

    reads: ClassVar[type]
    """What a batch is a list of."""
    axis: ClassVar[str] = "step"
    """What `position` counts: loggers number their rows by it."""

    def __init__(self, team: Team, seed: int) -> None:
        require_within(SEED, {"model.seed": seed})
        super().__init__()
        self.automatic_optimization = False
        self.strict_loading = False
        self.team = team
        self.seed = seed
        self.draws = Draws(seed)
        self.at_boundary = False
        """Inside a batch: whether weights and counts are still those of the batch before."""
        self._players: Players | None = None
        self._base_sample = ""
        """Of the base as training began with it."""

    @property
    def players(self) -> Players:
        """The loaded team; loads it when first asked."""
        self.configure_model()
        assert self._players is not None
        return self._players

    def identity(self) -> dict[str, Any]:
        """What a checkpoint of this module belongs to, JSON-able."""
        return self.players.identity()

    def log_row(self, values: Mapping[str, float]) -> None:
        """Write a row at `position` now: a checkpoint that follows never knows more than the logs."""
        for logger in self.trainer.loggers:
            logger.log_metrics(dict(values), self.position)

    # What a subclass says.

    @property
    def position(self) -> int:
        """How far training is, in what logs are numbered by."""
        raise NotImplementedError

    def demand(self) -> Demand:
        """What a run of the module asks of a machine; nothing is loaded."""
        raise NotImplementedError

    def load(self) -> Players:
        """The team, or the part of it that the module needs."""
        return self.team.load(self.seed)

    def saved(self) -> dict[str, Any]:
        """Plain values of a checkpoint besides the adapters and the identity."""
        return {}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Inverse of `saved`."""

    # What Lightning asks for.

    def setup(self, stage: str) -> None:
        number_rows(self.trainer.loggers, self.axis, lambda: self.position)

    def configure_model(self) -> None:
        if self._players is None:
            self._players = self.load()
            self.agents = self._players.agents  # its parameters are the module's

    def on_fit_start(self) -> None:
        refuse_wrapping(self.trainer.strategy)
        for agent in self.agents.names:
            broadcast(self.agents.parameters_of(agent))

    def on_train_start(self) -> None:
        self._base_sample = base_sample(self.agents)
        for logger in self.trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.go_on(self.position)

    def teardown(self, stage: str) -> None:
        if self._players is not None:
            self._players.opened.close()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """
        Raises:
            UserError: the data module is one for other modules.
        """
        if not isinstance(batch, Sequence) or not all(isinstance(part, self.reads) for part in batch):
            raise UserError(
                f"data.class_path gives batches that are no lists of {self.reads.__name__}s, which "
                f"{type(self).__name__} reads: name another data module."
            )
        return batch

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        return dict(self.players.agents.adapter_state())

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        self.players.agents.load_adapter_state(dict(state_dict))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """
        Raises:
            UserError: a weight of the base has changed in training.
        """
        if self._base_sample and base_sample(self.agents) != self._base_sample:
            raise UserError(
                "the base, which is frozen, has changed since training began, so no adapter of this run "
                "fits it: "
                "remove what changes it (a callback, a strategy, other code in this process) and start again."
            )
        checkpoint[type(self).__name__] = {"identity": self.identity(), **self.saved()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        name = type(self).__name__
        if name not in checkpoint:
            raise UserError(f"the checkpoint is not one of {name}: give one that `fit` with {name} wrote.")
        require_same("the checkpoint", checkpoint[name]["identity"], self.identity(), MEND_CHECKPOINT)
        self.restore(checkpoint[name])

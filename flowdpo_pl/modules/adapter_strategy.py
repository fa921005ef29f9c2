"""Data parallelism for adapters: every rank plays its share of a batch, gradients meet at the step.

Lightning's DDP would wrap the module and expect every parameter in every backward; here ranks mine
different numbers of pairs, some none, and one agent updates at a time. So nothing is wrapped: the
module broadcasts the adapters once and sums their gradients itself (`distributed`), a few megabytes.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy, Strategy, StrategyRegistry

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.orphans import end_with_parent

PATIENCE = timedelta(days=1)
"""How long a rank waits for the others: a batch may be slow. Who has died is the launcher's business, which
watches processes."""


class AdapterStrategy(DDPStrategy):
    """DDP's processes without DDP's wrapper; `trainer.strategy: flowdpo_pl.AdapterStrategy`."""

    def __init__(self, timeout: timedelta | None = PATIENCE, **kwargs: Any) -> None:
        super().__init__(timeout=timeout, **kwargs)

    def setup_environment(self) -> None:
        lightning_s = type(self.cluster_environment) is LightningEnvironment and self.local_rank > 0
        if lightning_s or TorchElasticEnvironment.detect():  # SLURM and Ray end what they have started
            end_with_parent()
        super().setup_environment()

    def configure_ddp(self) -> None:
        """Leave the module as it is."""

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        """A checkpoint is rank 0's alone: it may be saved in a signal's handler, where the others aren't."""
        if args[:1] != ("Trainer.save_checkpoint",):
            super().barrier(*args, **kwargs)


for _name in ("AdapterStrategy", "flowdpo_pl.AdapterStrategy"):  # on a command line, without its class_path
    StrategyRegistry.register(_name.lower(), AdapterStrategy, override=True)


def refuse_wrapping(strategy: Strategy) -> None:
    """
    Raises:
        UserError: the strategy would wrap the module as DDP does, or leave each of several processes alone.
    """
    if isinstance(strategy, DDPStrategy) and not isinstance(strategy, AdapterStrategy):
        raise UserError(
            "trainer.strategy (Lightning's own for several devices) would wrap the module and wait for "
            "gradients that an agent without pairs never has: set it to flowdpo_pl.AdapterStrategy."
        )
    launcher, processes = _launched()
    if processes > 1 and not isinstance(strategy, DDPStrategy):
        raise UserError(
            f"{launcher} has started {processes} processes, each of which would do the whole run: set "
            "trainer.strategy to flowdpo_pl.AdapterStrategy, trainer.devices to the processes of a node, and "
            "trainer.num_nodes to the nodes."
        )


def _launched() -> tuple[str, int]:
    """Who started this process, and how many beside it, itself included."""
    if TorchElasticEnvironment.detect():
        return "torchrun", int(os.environ["WORLD_SIZE"])
    if SLURMEnvironment.detect():
        return "srun", int(os.environ["SLURM_NTASKS"])
    return "Lightning", 1

"""Data parallelism for adapters: every rank plays its share of a batch, gradients meet at the step.

Lightning's DDP would wrap the module and expect every parameter in every backward; here ranks mine
different numbers of pairs, some none, and one agent updates at a time. So nothing is wrapped: the
module broadcasts the adapters once and sums their gradients itself (`distributed`), a few megabytes.
"""

from __future__ import annotations

from lightning.pytorch.strategies import DDPStrategy, Strategy, StrategyRegistry

from flowdpo_pl.errors import UserError


class AdapterStrategy(DDPStrategy):
    """DDP's processes without DDP's wrapper; `trainer.strategy: flowdpo_pl.AdapterStrategy`."""

    def configure_ddp(self) -> None:
        """Leave the module as it is."""


for _name in ("AdapterStrategy", "flowdpo_pl.AdapterStrategy"):  # on a command line, without its class_path
    StrategyRegistry.register(_name.lower(), AdapterStrategy, override=True)


def refuse_wrapping(strategy: Strategy) -> None:
    """
    Raises:
        UserError: the strategy would wrap the module as DDP does.
    """
    if isinstance(strategy, DDPStrategy) and not isinstance(strategy, AdapterStrategy):
        raise UserError(
            "trainer.strategy (Lightning's own for several devices) would wrap the module and wait for "
            "gradients that an agent without pairs never has: set it to flowdpo_pl.AdapterStrategy."
        )

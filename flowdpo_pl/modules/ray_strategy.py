"""Ranks that Ray Train has started: its processes, devices and process group, and nothing wrapped.

As `ray.train.lightning.RayDDPStrategy` and `RayLightningEnvironment` do it, in one, for a `trainer.strategy`
that says all. `examples/fit_on_ray.py` starts a run so.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import StrategyRegistry

from flowdpo_pl.errors import UserError
from flowdpo_pl.modules.adapter_strategy import AdapterStrategy


class RayAdapterStrategy(AdapterStrategy):
    """`AdapterStrategy` in the workers of Ray Train (`pip install 'flowdpo-pl[ray]'`).

    The backend and how long a rank waits for others are `ray.train.torch.TorchConfig`'s.

    Raises:
        UserError: Ray is not installed, or has not started this process.
    """

    def __init__(self) -> None:
        super().__init__(cluster_environment=_RayEnvironment(_context()))

    @property
    def root_device(self) -> torch.device:
        from ray.train.torch import get_device

        device: torch.device = get_device()
        return device


for _name in ("RayAdapterStrategy", "flowdpo_pl.RayAdapterStrategy"):
    StrategyRegistry.register(_name.lower(), RayAdapterStrategy, override=True)


class _RayEnvironment(LightningEnvironment):
    """Who is who, as Ray Train says."""

    def __init__(self, context: Any) -> None:
        super().__init__()
        self._context = context

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def world_size(self) -> int:
        return int(self._context.get_world_size())

    def set_world_size(self, size: int) -> None:
        """Ray's."""

    def global_rank(self) -> int:
        return int(self._context.get_world_rank())

    def set_global_rank(self, rank: int) -> None:
        """Ray's."""

    def local_rank(self) -> int:
        return int(self._context.get_local_rank())

    def node_rank(self) -> int:
        return int(self._context.get_node_rank())

    def teardown(self) -> None:
        """The process group is Ray's."""


def _context() -> Any:
    try:
        import ray.train
    except ImportError:
        raise UserError(
            "trainer.strategy is RayAdapterStrategy, and ray is not installed: pip install 'flowdpo-pl[ray]'."
        ) from None
    try:
        context = ray.train.get_context()
        context.get_world_size()
    except Exception:  # Ray's own, which differ by version
        raise UserError(
            "trainer.strategy is RayAdapterStrategy, and no Ray Train has started this process: "
            "start the run as examples/fit_on_ray.py does, or give flowdpo_pl.AdapterStrategy."
        ) from None
    return context

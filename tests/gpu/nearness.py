"""How near to float32 a computation in bf16 is, beside transformers' own."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.conftest import World
from tests.oracles import PlainAgents


def in_bf16(world: World) -> PlainAgents:
    """The world's agents through stock transformers and PEFT in bf16."""
    return PlainAgents(world.folder, world.adapters, world.agents.names, world.plain.device, torch.bfloat16)


def as_near(ours: Tensor, own: Tensor, exact: Tensor) -> bool:
    """Whether ours is off by no more than twice what transformers' own bf16 is, or a hundredth of it all."""
    scale = float(exact.norm())
    return float((ours - exact).norm()) <= 2 * float((own - exact).norm()) + 0.01 * scale

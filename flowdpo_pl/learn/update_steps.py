"""How a batch's pairs of one agent are dealt out to optimizer steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from flowdpo_pl.distributed import summed
from flowdpo_pl.learn.packing import L


def update_steps(pairs: Sequence[L], pairs_per_update: int | None, device: torch.device) -> list[Sequence[L]]:
    """This rank's pairs of each step; all ranks have as many steps, of which some may be empty.

    Args:
        pairs: of this rank, in order.
        pairs_per_update: pairs of a step, of all ranks together, at most about; None: all in one.
        device: for the messages between ranks.
    """
    everywhere = int(summed([len(pairs)], device)[0])
    steps = max(1, math.ceil(everywhere / pairs_per_update)) if pairs_per_update else 1
    return [pairs[len(pairs) * step // steps : len(pairs) * (step + 1) // steps] for step in range(steps)]

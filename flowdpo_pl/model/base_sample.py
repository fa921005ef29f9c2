"""A digest of sampled weights of the frozen base, as they are in memory now."""

from __future__ import annotations

import hashlib

import torch

from flowdpo_pl.model.agents import Agents

_FROM_EACH = 64
"""Numbers taken of every tensor, evenly spaced."""


@torch.no_grad()
def base_sample(agents: Agents) -> str:
    """Equal as long as no weight of the base changes in a run; nothing that another run could be compared by.

    Layers are replaced whole when they are trained, merged or loaded, so few numbers of each show it.
    """
    own = set(map(id, agents.adapter_state().values()))
    digest = hashlib.sha256()
    for name, weight in agents.base.named_parameters():
        if id(weight) not in own:
            flat = weight.detach().flatten()
            taken = flat[:: max(1, len(flat) // _FROM_EACH)].cpu().contiguous()
            digest.update(name.encode())
            digest.update(taken.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]

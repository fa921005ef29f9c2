"""The digest is of the base, and of every tensor of it."""

from __future__ import annotations

import torch

from flowdpo_pl.model.base_sample import base_sample
from tests.runs import module


def test_it_changes_with_any_layer_of_the_base_and_not_with_adapters() -> None:
    agents = module().players.agents
    before = base_sample(agents)
    with torch.no_grad():
        for weight in agents.adapter_state().values():
            weight.add_(1.0)
        assert base_sample(agents) == before
        for name, weight in agents.base.named_parameters():
            if ".lora_" not in name:
                kept = weight.detach().clone()
                weight.mul_(1.01).add_(1e-3)
                assert base_sample(agents) != before, name
                weight.copy_(kept)
    assert base_sample(agents) == before

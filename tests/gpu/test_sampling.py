"""The same logits give the same draws on a GPU as on a CPU."""

from __future__ import annotations

import pytest
import torch

from flowdpo_pl.draws import uniforms
from flowdpo_pl.play.engines.sampling import Sampling, draw


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(0.0), Sampling(0.3), Sampling(1.0, 0.9), Sampling(0.7, 0.5)]
)
@pytest.mark.parametrize("vocabulary", [300, 49_152])
def test_draws_are_those_of_a_cpu(vocabulary: int, sampling: Sampling, device: torch.device) -> None:
    logits = 4 * torch.randn(256, vocabulary, generator=torch.Generator().manual_seed(0))
    pairs = torch.from_numpy(uniforms(list(range(256)), 2))
    here = draw(logits.clone(), pairs, sampling)
    there = draw(logits.to(device, copy=True), pairs.to(device), sampling)
    assert torch.equal(there.tokens.cpu(), here.tokens)
    assert torch.equal(there.runners_up.cpu(), here.runners_up)
    torch.testing.assert_close(there.logprobs.cpu(), here.logprobs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(there.log_others.cpu(), here.log_others, atol=1e-5, rtol=1e-5)

"""The fused log-probabilities and their gradients are autograd's own."""

from __future__ import annotations

import pytest
import torch

from flowdpo_pl.model import output_head as module
from flowdpo_pl.model.output_head import OutputHead, token_logprobs


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("end_ids", [(2,), (2, 5, 9)])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_equal_to_autograd_chunk_by_chunk(
    scale: float, softcap: float | None, bias: bool, end_ids: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", 4 * 11 * 3)  # three rows at a time
    torch.manual_seed(0)
    weight = torch.randn(11, 6, dtype=torch.float64)
    head = OutputHead(weight, torch.randn(11, dtype=torch.float64) if bias else None, softcap, end_ids, scale)
    hidden = torch.randn(8, 6, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 2, 1, 2, 10, 7, 3, 2])
    upstream = torch.randn(8)
    ours = token_logprobs(hidden, targets, head)
    (gradient,) = torch.autograd.grad((ours * upstream).sum(), hidden)

    logits = torch.nn.functional.linear(hidden, weight, head.bias) * scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    ends = logits[:, list(end_ids)].logsumexp(-1)
    plain = torch.where(targets == 2, ends, logits.gather(1, targets[:, None]).squeeze(1)) - logits.logsumexp(
        -1
    )
    (expected,) = torch.autograd.grad((plain * upstream).sum(), hidden)
    torch.testing.assert_close(ours.double(), plain.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient, expected, atol=1e-5, rtol=1e-4)
    options = torch.tensor([[1, 4]] * 8)
    torch.testing.assert_close(
        head.option_logits(hidden, options).double(), logits.gather(1, options), atol=1e-5, rtol=1e-5
    )

"""Our play and our update against transformers' own forward, before anything is played or learnt.

Two rows that share their beginning are read in three ways: whole, by transformers' eager attention; packed
as a tree, like an update; from a cache, padded, stored, loaded and a token at a time, like play. On a twin
(random weights, with an adapter) log-probabilities and gradients must be equal; on the real weights they may
differ by a few times what eager attention differs from itself in another batch.

Shapes: 2 rows, N tokens each, E hidden size, V vocabulary.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.attention import ATTENTION, TreeView
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.model.output_head import OutputHead, token_logprobs
from flowdpo_pl.model.structure import refusing
from flowdpo_pl.model.twin import NoTwin, Twin, twin_of
from flowdpo_pl.play.engines.prefix_cache import Stored
from flowdpo_pl.play.engines.workspace import Workspace

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LOG = logging.getLogger(__name__)
_TOKENS, _SHARED, _STEPS = 64, 40, 4
_TWIN_TOLERANCE = 1e-4
"""Of log-probabilities in nats; ten times as much of the largest gradient."""
_TIMES_OWN_NOISE = 4
"""A deep twin, or one with a router, can be off by more through rounding alone."""
_LEAST_NOISE = 2.5e-5
"""Of log-probabilities in float32, in nats."""
_TWIN = "twin"


def require_twin_agrees(agents: Agents, lora: LoraSettings) -> None:
    """Compare a small random model of the base's config, with such adapters, with transformers' own forward.

    Where a config can't be cut down the log says that it was not checked.

    Raises:
        UserError: log-probabilities or gradients differ; says which.
    """
    try:
        twin = twin_of(agents.base)
    except NoTwin as reason:
        _LOG.warning(
            "models of type %s are not checked against transformers' own attention on a small twin: %s",
            agents.base.config.model_type,
            reason,
        )
        return
    with torch.device("cpu"), torch.random.fork_rng(devices=[]), refusing(agents.base), torch.enable_grad():
        torch.manual_seed(0)
        _require_equal(twin, lora)


def _require_equal(twin: Twin, lora: LoraSettings) -> None:
    ours = Agents(twin.ours, (_TWIN,), replace(lora, dropout=0.0))
    head = ours.head(())
    with torch.no_grad():
        for parameter in ours.parameters_of(_TWIN):
            parameter.normal_(std=0.5 / parameter.shape[-1] ** 0.5)
    adapter = ours.adapter(_TWIN)
    merged = [_weight(twin.eager, name) for name in ours.layer_names]
    for weight, (down, up) in zip(merged, adapter.matrices, strict=True):
        weight.data += adapter.scale * up.detach() @ down.detach()
        weight.requires_grad_(True)
    rows = _rows(ours, head)
    with ours.decoding_as(_TWIN):
        cached, read = _cached(ours, head, rows)
    with ours.acting_as(_TWIN):
        hidden = _packed(ours, rows)
        packed = head.logits(hidden.detach().flatten(0, 1)).unflatten(0, rows.shape).log_softmax(-1)
        token_logprobs(hidden[:, :-1].flatten(0, 1), rows[:, 1:].flatten(), head).sum().backward()
    whole, slopes = _own_gradients(twin.eager, rows, merged)
    _move_by_rounding(twin.eager)
    moved, moved_slopes = _own_gradients(twin.eager, rows, merged)
    _require_near("packed", packed - whole, moved - whole)
    _require_near("cached", (cached - whole)[read], moved - whole)
    for name, slope, other, (down, up) in zip(
        ours.layer_names, slopes, moved_slopes, adapter.matrices, strict=True
    ):
        assert down.grad is not None and up.grad is not None
        to_down, to_up = adapter.scale * up.detach().t(), adapter.scale * down.detach().t()
        _require_same_gradient(name, down.grad, to_down @ slope, to_down @ other)
        _require_same_gradient(name, up.grad, slope @ to_up, other @ to_up)


def _own_gradients(
    model: PreTrainedModel, rows: Tensor, weights: Sequence[Tensor]
) -> tuple[Tensor, Sequence[Tensor]]:
    """Log-probabilities `[2, N, V]` of the model's own forward, and the gradients of those of the rows."""
    logprobs = _own(model, rows)
    return logprobs.detach(), torch.autograd.grad(
        logprobs[:, :-1].gather(2, rows[:, 1:, None]).sum(), list(weights)
    )


@torch.no_grad()
def _move_by_rounding(model: PreTrainedModel) -> None:
    """Move every weight by as much as rounding does."""
    for weight in model.parameters():
        weight.mul_(1 + torch.finfo(weight.dtype).eps * torch.randn_like(weight))


def _weight(model: PreTrainedModel, name: str) -> Tensor:
    weight = model.get_submodule(name).weight
    assert isinstance(weight, Tensor)
    return weight


def _require_near(how: str, difference: Tensor, noise: Tensor) -> None:
    largest = float(difference.abs().max())
    allowed = max(_TWIN_TOLERANCE, _TIMES_OWN_NOISE * float(noise.abs().max()))
    if not largest <= allowed:  # NaN is refused too
        raise UserError(
            f"{how} log-probabilities differ from those of its own attention by {largest:.2g} nats "
            "on a small random model of its config"
        )


def _require_same_gradient(name: str, ours: Tensor, theirs: Tensor, moved: Tensor) -> None:
    allowed = max(
        10 * _TWIN_TOLERANCE * max(1.0, float(theirs.abs().max())),
        _TIMES_OWN_NOISE * float((moved - theirs).abs().max()),
    )
    if not float((ours - theirs).abs().max()) <= allowed:
        raise UserError(
            f"the gradient of an adapter in {name} differs from that of its own forward "
            "on a small random model of its config"
        )


def require_weights_agree(agents: Agents) -> None:
    """Compare the real weights, adapters off, with the same model through transformers' eager attention.

    Weights that are not there (meta) or quantised, whose products round by the batch, are not compared.

    Raises:
        UserError: log-probabilities differ by more than the noise of the dtype.
    """
    quantized = getattr(agents.base.config, "quantization_config", None) is not None
    if quantized or any(parameter.is_meta for parameter in agents.base.parameters()):
        return
    head, training = agents.head(()), agents.training
    agents.eval()
    try:
        with torch.no_grad(), refusing(agents.base):
            rows = _rows(agents, head)
            with _eager(agents.base) as switched:
                if not switched:
                    _LOG.warning(
                        "models of type %s can't switch to eager attention: their weights are not checked",
                        agents.base.config.model_type,
                    )
                    return
                whole = _own(agents.base, rows)
                # all tokens again: what depends on tokens to come is no noise
                noise = _rms(torch.cat([_own(agents.base, row[None]) for row in rows]) - whole)
            packed = head.logits(_packed(agents, rows).flatten(0, 1)).view_as(whole).log_softmax(-1)
            cached, read = _cached(agents, head, rows)
            eps = torch.finfo(agents.dtype).eps
            _require_within_noise("packed", _rms(packed - whole), noise, whole, eps)
            _require_within_noise("cached", _rms((cached - whole)[read]), noise, whole, eps)
    finally:
        agents.train(training)


def _require_within_noise(how: str, difference: float, noise: float, whole: Tensor, eps: float) -> None:
    """`noise`: eager's own in another batch; kernels that don't see the batch have none, but still round."""
    allowed = _TIMES_OWN_NOISE * max(noise, eps * _rms(whole), _LEAST_NOISE)
    if not difference <= allowed:
        raise UserError(
            f"{how} log-probabilities of its weights differ from those of its own attention by "
            f"{difference:.2g} nats (root mean square; up to {allowed:.1g} is rounding): "
            "if you know why, set base.compare_weights to false"
        )


@contextmanager
def _eager(model: PreTrainedModel) -> Iterator[bool]:
    """Transformers' eager attention inside; False where the model can't switch."""
    model.set_attn_implementation("eager")
    try:
        yield model.config._attn_implementation == "eager"
    finally:
        model.set_attn_implementation(ATTENTION)


def _rms(difference: Tensor) -> float:
    return float(difference.square().mean().sqrt())


def _own(model: PreTrainedModel, rows: Tensor) -> Tensor:
    """Log-probabilities `[rows, N, V]` of the model's own forward."""
    logits: Tensor = model(input_ids=rows, use_cache=False).logits
    return logits.float().log_softmax(-1)


def _rows(agents: Agents, head: OutputHead) -> Tensor:
    """`[2, N]` token ids whose first `_SHARED` are the same."""
    draws = torch.Generator().manual_seed(0)
    most = (
        min(len(head.weight), agents.config.vocab_size) - 8
    )  # the last ids of a twin stand for other things
    rows = torch.randint(1, most, (2, _TOKENS), generator=draws, device="cpu")
    rows[1, :_SHARED] = rows[0, :_SHARED]
    return rows.to(agents.device)


def _packed(agents: Agents, rows: Tensor) -> Tensor:
    """Last hidden states `[2, N, E]` of the rows as a trunk and a branch."""
    branch = rows[1, _SHARED:]
    positions = torch.arange(_TOKENS, device=rows.device)
    both = torch.cat([positions, positions[_SHARED:]])[None]
    segments = torch.zeros_like(both)
    segments[:, _TOKENS:] = 1
    view = TreeView(both, segments, segments * _SHARED)
    hidden = agents.hidden(torch.cat([rows[0], branch])[None], both, view)[0]
    return torch.stack([hidden[:_TOKENS], torch.cat([hidden[:_SHARED], hidden[_TOKENS:]])])


def _cached(agents: Agents, head: OutputHead, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities `[2, N, V]` as play reads them, and at which tokens `[2, N]` it read.

    First 40 and 30 tokens, the shorter row padded; these are stored, loaded again, read on to 60 and 52
    tokens in one block, and then a token at a time.
    """
    result = torch.zeros(*rows.shape, len(head.weight), device=rows.device)
    read = torch.zeros_like(rows, dtype=torch.bool)
    first, then = [_SHARED, _SHARED - 10], [_TOKENS - _STEPS, _TOKENS - _STEPS - 8]

    def forward(workspace: Workspace, lengths: list[int], new: int) -> None:
        tokens = torch.zeros(2, new, dtype=rows.dtype, device=rows.device)
        for line, row, length in zip(tokens, rows, lengths, strict=True):
            own = min(new, length)
            line[new - own :] = row[length - own : length]
        hidden = agents.hidden(tokens, workspace.positions(), workspace)
        for index, length in enumerate(lengths):
            own = min(new, length)
            result[index, length - own : length] = head.logits(hidden[index, new - own :]).log_softmax(-1)
            read[index, length - own : length] = True

    workspace = Workspace(agents.caches, first, 0, agents.dtype, agents.device)
    workspace.begin(max(first))
    forward(workspace, first, max(first))
    stored = [
        Stored(np.arange(length), 0, *workspace.states(index, 0, length), None)
        for index, length in enumerate(first)
    ]
    workspace = Workspace(agents.caches, then, _STEPS, agents.dtype, agents.device)
    for index, (states, length) in enumerate(zip(stored, first, strict=True)):
        workspace.load(index, states, length)
    block = max(after - before for before, after in zip(first, then, strict=True))
    workspace.begin(block)
    forward(workspace, then, block)
    for step in range(1, _STEPS + 1):
        workspace.advance()
        forward(workspace, [length + step for length in then], 1)
    return result, read

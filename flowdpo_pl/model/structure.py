"""What a forward shows of a model before anything is built on it: no architecture is known by its name.

A few tokens go through the whole model once. Seen are the calls of our attention, with the shapes of keys and
values, and the logits beside the product of last hidden states and output weights.

Shapes: N tokens, K key/value heads, D head size, E hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowdpo_pl.errors import UserError, some_of
from flowdpo_pl.model.attention import QueryBlock, TreeView
from flowdpo_pl.model.base import decoder_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOKENS = 3
_HEAD_TOLERANCE = 4  # units of the compute dtype's precision, of the largest logit


class Unsupported(UserError):
    """A model computes something that is not done here; names its type and says what."""


@dataclass(frozen=True)
class CacheShape:
    """Keys and values of one layer."""

    heads: int
    """K"""
    key_size: int
    """D of keys."""
    value_size: int


@dataclass(frozen=True)
class Structure:
    """What was seen."""

    caches: tuple[CacheShape, ...]
    """By layer."""
    logit_scale: float
    """Logits are so many times the product of hidden states and output weights."""
    softcap: float | None
    """Bound of the logits, if they have one."""


@dataclass(eq=False)
class _Watching:
    """A view that notes who asks for keys and values."""

    view: TreeView
    calls: list[tuple[int, CacheShape]] = field(default_factory=list)

    def keys_values(self, key: Tensor, value: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        self.calls.append((layer, CacheShape(key.shape[1], key.shape[3], value.shape[3])))
        return self.view.keys_values(key, value, layer)

    def blocks(self, window: int | None, dtype: torch.dtype) -> Sequence[QueryBlock]:
        return self.view.blocks(window, dtype)


@torch.no_grad()
def structure_of(model: PreTrainedModel) -> Structure:
    """What one forward of a few tokens shows of a model that was loaded with our attention.

    Raises:
        UserError: its layers or its head compute something that would be left out here; says what.
    """
    tokens = torch.arange(_TOKENS, device=model.device)[None]
    watching = _Watching(TreeView(tokens, torch.zeros_like(tokens), torch.zeros_like(tokens)))
    with refusing(model):
        count = model.config.get_text_config().num_hidden_layers
        with _last_hidden(model) as hidden:
            output = model(
                input_ids=tokens + 1, position_ids=tokens, use_cache=False, view=watching, return_dict=True
            )
        _require_a_call_a_layer(model, [layer for layer, _ in watching.calls], count)
        if len(hidden) != 1:
            raise _unsupported(model, "it does not run its decoder once in a forward")
        scale, softcap = _head(model, hidden[0][0], output.logits[0].float())
    return Structure(tuple(shape for _, shape in sorted(watching.calls, key=_layer)), scale, softcap)


@contextmanager
def refusing(model: PreTrainedModel) -> Iterator[None]:
    """What a foreign model raises inside becomes a refusal that names it; lack of memory stays what it is."""
    try:
        yield
    except (torch.OutOfMemoryError, Unsupported):
        raise
    except UserError as error:
        raise _unsupported(model, str(error).rstrip(".")) from error
    except Exception as error:
        first = (str(error).splitlines() or [""])[0][:200]
        raise _unsupported(model, f"it stops with {type(error).__name__}: {first}") from error


def _unsupported(model: PreTrainedModel, reason: str) -> Unsupported:
    return Unsupported(f"models of type {model.config.model_type} are not supported: {reason.rstrip('.')}.")


def _layer(call: tuple[int, CacheShape]) -> int:
    return call[0]


@contextmanager
def _last_hidden(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """Last hidden states `[B, N, E]` of each forward of the decoder inside."""
    seen: list[Tensor] = []

    def note(_: nn.Module, __: Any, output: Any) -> None:
        if not hasattr(output, "last_hidden_state"):
            raise UserError("its decoder does not give its last hidden states")
        seen.append(output.last_hidden_state)

    hook = decoder_of(model).register_forward_hook(note)
    try:
        yield seen
    finally:
        hook.remove()


def _require_a_call_a_layer(model: PreTrainedModel, layers: Sequence[int], count: int) -> None:
    if silent := [str(layer) for layer in range(count) if layer not in layers]:
        raise _unsupported(
            model,
            f"of its {count} layers number {some_of(silent, 4)} never calls the attention it was loaded with "
            "(but linear attention, a convolution or a state of its own)",
        )
    if sorted(layers) != list(range(count)):
        raise _unsupported(model, f"its {count} layers call their attention {len(layers)} times in a forward")


def _head(model: PreTrainedModel, hidden: Tensor, logits: Tensor) -> tuple[float, float | None]:
    """Scale and bound of the logits `[N, V]`, given the last hidden states `[N, E]`."""
    layer = model.get_output_embeddings()
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor) or weight.dim() != 2 or not weight.is_floating_point():
        raise _unsupported(model, "its output layer is no plain matrix")
    product = F.linear(hidden.to(weight.dtype), weight, getattr(layer, "bias", None)).float()
    config = model.config.get_text_config()
    if product.shape != logits.shape:
        raise _unsupported(model, "its logits are not one a row of its output layer")
    bound = getattr(config, "final_logit_softcapping", None)
    for softcap in dict.fromkeys((bound, None)):  # small logits don't tell whether there is a bound
        scale = _scale(config, product, _unbounded(logits, softcap))
        ours = product * scale
        if softcap is not None:
            ours = torch.tanh(ours / softcap) * softcap
        precision = max(torch.finfo(weight.dtype).eps, 1e-5)
        if (ours - logits).abs().max() <= _HEAD_TOLERANCE * precision * logits.abs().max().clamp(min=1e-3):
            return scale, softcap
    raise _unsupported(
        model, "its logits are not the product of hidden states and output weights, nor one scalar times it"
    )


def _unbounded(logits: Tensor, softcap: float | None) -> Tensor:
    if softcap is None:
        return logits
    return torch.atanh((logits / softcap).clamp(-1 + 1e-6, 1 - 1e-6)) * softcap


def _scale(config: Any, product: Tensor, logits: Tensor) -> float:
    """The scalar between both, exactly as the config has it (or its inverse, or its share of the width)."""
    fitted = float((product * logits).sum() / product.square().sum().clamp(min=1e-30))
    if abs(fitted - 1) < 1e-3:
        return 1.0
    values = [
        float(value)
        for value in config.to_dict().values()
        if isinstance(value, int | float) and not isinstance(value, bool) and value
    ]
    exact = [*values, *(1 / value for value in values), *(value / config.hidden_size for value in values)]
    near = min(exact, key=lambda value: abs(value / fitted - 1), default=fitted) if fitted else 1.0
    return near if fitted and abs(near / fitted - 1) < 2e-3 else 1.0

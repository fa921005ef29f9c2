"""Which layers of a base get an adapter, and that each is one that an adapter can be added to.

Experts that a model holds in one tensor of three dimensions (Mixtral, Qwen3-MoE) are no linear layers: their
product has no place for an adapter here. `all-linear` leaves them out and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from flowdpo_pl.errors import UserError, some_of
from flowdpo_pl.model.base import decoder_of
from flowdpo_pl.model.lora import LoraSettings

if TYPE_CHECKING:
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer
    from transformers import PreTrainedModel


def peft_config_on(base: PreTrainedModel, lora: LoraSettings) -> LoraConfig:
    """PEFT's settings of one adapter on `base`.

    `all-linear` is spelt out where PEFT would take it for more: fused experts, a tower that reads images,
    a router that calls itself linear.
    """
    if lora.target_modules == "all-linear" and (fused_experts(base) or _outside(base) or _odd(base)):
        return replace(lora, target_modules=sorted(_beside_experts(base))).peft_config()
    return lora.peft_config()


def what_is_left_out(base: PreTrainedModel, lora: LoraSettings, adapted: Sequence[str]) -> str | None:
    """A sentence on what `all-linear` does not adapt, or None where it is all of it."""
    if lora.target_modules != "all-linear":
        return None
    experts, outside, odd = fused_experts(base), _outside(base), _odd(base)
    left = [
        *([f"experts in fused tensors ({some_of(experts, 2)})"] if experts else []),
        *([f"layers that no text goes through ({some_of(outside, 2)})"] if outside else []),
        *([f"layers that are more than linear ({some_of(odd, 2)})"] if odd else []),
    ]
    if not left:
        return None
    kinds = sorted({name.rpartition(".")[2] for name in adapted})
    return (
        f"all-linear leaves out {' and '.join(left)} of {base.config.model_type}: "
        f"adapted are {', '.join(kinds)}."
    )


def _outside(base: PreTrainedModel) -> list[str]:
    """Linear layers that are neither in the text's decoder nor the output head."""
    inside = {id(module) for module in decoder_of(base).modules()} | {id(base.get_output_embeddings())}
    return [
        name
        for name, module in base.named_modules()
        if isinstance(module, nn.Linear) and id(module) not in inside
    ]


def _odd(base: nn.Module) -> list[str]:
    """Linear layers with a forward of their own, such as routers; quantised layers have theirs by right."""
    return [
        name
        for name, module in base.named_modules()
        if isinstance(module, nn.Linear) and not _is_linear(module)
    ]


def _is_linear(layer: nn.Module) -> bool:
    weight = layer.weight
    plain = type(layer).forward is nn.Linear.forward
    return plain or type(weight) is not nn.Parameter or not weight.is_floating_point()


def fused_experts(base: nn.Module) -> list[str]:
    """Names of weights that hold a matrix an expert, `[experts, out, in]`."""
    convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return [
        f"{name}.{own}"
        for name, module in base.named_modules()
        if not isinstance(module, convolutions)
        for own, weight in module.named_parameters(recurse=False)
        if weight.dim() == 3
    ]


def _beside_experts(base: PreTrainedModel) -> set[str]:
    """Linear layers of the decoder, but those whose names PEFT would take for the experts'."""
    head, outside = base.get_output_embeddings(), set(_outside(base))
    linear = {n for n, module in base.named_modules() if isinstance(module, nn.Linear) and module is not head}
    names = linear - outside - set(_odd(base))
    try:
        from peft import LoraConfig
        from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
        from transformers.conversion_mapping import get_model_conversion_mapping
    except ImportError:  # older versions of PEFT know no fused experts
        return names
    tried = LoraConfig(target_modules=sorted(names))
    convert_peft_config_for_transformers(tried, model=base, conversions=get_model_conversion_mapping(base))
    return set(tried.target_modules or ())


@contextmanager
def refused_targets() -> Iterator[None]:
    """What PEFT refuses to adapt becomes one sentence."""
    try:
        yield
    except ValueError as error:
        first = (str(error).splitlines() or [""])[0]
        raise UserError(f"lora.target_modules can't be adapted by PEFT: {first.rstrip('.')}.") from error


def require_adaptable(names: Sequence[str], layers: Sequence[LoraLayer]) -> None:
    """
    Raises:
        UserError: an adapted layer is no linear layer.
    """
    for name, layer in zip(names, layers, strict=True):
        inner = layer.get_base_layer()
        weight = getattr(inner, "weight", None)
        # quantised weights have shapes of their own, and `out_features`
        linear = hasattr(inner, "out_features") and isinstance(weight, torch.Tensor) and _is_linear(inner)
        if not linear or type(layer).__name__ == "ParamWrapper":
            raise UserError(
                f"lora.target_modules reaches {name} of type {type(inner).__name__}, which can't be adapted: "
                "name linear layers (no fused experts, embeddings or convolutions)."
            )


def require_met(names: Sequence[str], groups: Sequence[Sequence[int]]) -> None:
    """`groups`: indices of the layers that a forward met.

    Raises:
        UserError: a forward of a text does not meet an adapted layer.
    """
    met = {index for group in groups for index in group}
    if unmet := [name for index, name in enumerate(names) if index not in met]:
        raise UserError(
            f"lora.target_modules reaches {some_of(unmet, 2)}, which a token of text does not go through "
            "(experts that are chosen, or another kind of input): name others."
        )

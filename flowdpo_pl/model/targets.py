"""Which layers of a base get an adapter, and that each is one that an adapter can be added to.

Experts that a model holds in one tensor of three dimensions (Mixtral, Qwen3-MoE) are no linear layers: their
product has no place for an adapter here. `all-linear` leaves them out and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from flowdpo_pl.errors import UserError, some_of
from flowdpo_pl.model.lora import LoraSettings

if TYPE_CHECKING:
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer
    from transformers import PreTrainedModel

_LOG = logging.getLogger(__name__)


def adapter_config(base: PreTrainedModel, lora: LoraSettings) -> LoraConfig:
    """PEFT's settings of one adapter on `base`.

    `all-linear` on a base with fused experts is spelt out, or PEFT would take it for the experts too.
    """
    config = lora.peft_config()
    experts = fused_experts(base)
    if lora.target_modules == "all-linear" and experts:
        beside = _beside_experts(base)
        config.target_modules = sorted(beside)
        _LOG.warning(
            "%s holds experts in fused tensors (%s): they get no adapter; adapted are %s",
            base.config.model_type,
            some_of(experts, 2),
            ", ".join(sorted({name.rpartition(".")[2] for name in beside})),
        )
    return config


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
    """Linear layers but the output head, and but those whose names PEFT would take for the experts'."""
    head = base.get_output_embeddings()
    names = {n for n, module in base.named_modules() if isinstance(module, nn.Linear) and module is not head}
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
        linear = hasattr(inner, "out_features") and isinstance(weight, torch.Tensor)
        if not linear or type(layer).__name__ == "ParamWrapper":
            raise UserError(
                f"lora.target_modules reaches {name} of type {type(inner).__name__}, which can't be adapted: "
                "name linear layers (no fused experts, embeddings or convolutions)."
            )


def require_met_once(names: Sequence[str], groups: Sequence[Sequence[int]]) -> None:
    """`groups`: indices of the layers that a forward met, those together that read the same input.

    Raises:
        UserError: a forward met an adapted layer not at all, or more than once.
    """
    met = [index for group in groups for index in group]
    for wrong, how in (
        ([name for index, name in enumerate(names) if index not in met], "meets them not at all"),
        ([name for index, name in enumerate(names) if met.count(index) > 1], "meets them more than once"),
    ):
        if wrong:
            raise UserError(
                f"lora.target_modules reaches {some_of(wrong, 2)}, but a forward {how} "
                "(experts, or a block that is used again): name others."
            )

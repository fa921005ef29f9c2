"""A base whose linear layers are stored in 4 or 8 bits by bitsandbytes.

Embeddings, norms and the output head keep the base's dtype, products are computed in it, and adapters
with their optimizer state stay in float32 (QLoRA, arXiv 2305.14314).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from flowdpo_pl.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

Quantization = Literal["nf4", "int8"]
"""4-bit normal floats with doubly quantised scales, or LLM.int8() (arXiv 2208.07339)."""


def loading_options(
    quantization: Quantization | None, config: PretrainedConfig, dtype: torch.dtype
) -> dict[str, Any]:
    """What `from_pretrained` must be told for a base of this config to be quantised, or to stay as stored.

    Weights are quantised on torch's default device. Lightning makes that the trainer's while the module
    loads, so nothing quantised has to be moved.

    Raises:
        UserError: the weights are stored quantised already, and shall be once more or can't be used.
    """
    import torch

    stored = _stored_method(config)
    if stored not in (None, "bitsandbytes"):
        raise UserError(
            f"the weights of {config.name_or_path} are quantised by {stored}, which is not supported: "
            "give the 16-bit model and set model.team.base.quantization to nf4 or int8."
        )
    if stored is not None and quantization is not None:
        raise UserError(
            f"the weights of {config.name_or_path} are stored quantised already: "
            "leave model.team.base.quantization out."
        )
    if stored is None and quantization is None:
        return {}
    options: dict[str, Any] = {"device_map": {"": torch.get_default_device()}}
    if quantization is not None:
        options["quantization_config"] = _bitsandbytes(quantization, dtype)
    return options


def compute_in(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Let 4-bit layers compute in `dtype`, and keep their weights as they are.

    On CPUs with AVX512-BF16 bitsandbytes would repack them in place for a product that has no gradient:
    an update would lose most of its gradient, silently.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.compute_dtype = dtype
            module.support_avx512bf16_for_cpu = False


def follow_weights(model: PreTrainedModel) -> None:
    """After a move to another device: 8-bit layers have a second reference to their weights, which stays."""
    if getattr(model.config, "quantization_config", None) is None:
        return
    from bitsandbytes.nn.modules import Linear8bitLt

    for module in model.modules():
        if isinstance(module, Linear8bitLt):
            holders: list[Any] = [module.weight, module.state]
            for holder in holders:
                if holder.CB is not None:
                    holder.CB = module.weight.data
                    holder.SCB = holder.SCB.to(module.weight.device)


def _bitsandbytes(quantization: Quantization, dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _stored_method(config: PretrainedConfig) -> str | None:
    """By what the saved weights are quantised, or None."""
    stored: dict[str, Any] | None = getattr(config, "quantization_config", None)
    return None if stored is None else str(stored.get("quant_method", "bitsandbytes"))

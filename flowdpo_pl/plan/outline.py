"""The shape of a base from its config.json alone: its own code runs on tensors that hold no numbers.

The model is made on torch's `meta` device, so no architecture is known by its name and no weight is needed
or allocated. A forward of a token shows which layers read the same input and what each layer caches.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.base import BaseModel, decoder_of, require_model_folder
from flowdpo_pl.model.fused_layers import reading_together
from flowdpo_pl.model.hub import require_on_hub
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.plan.shapes import LayerShape, ModelShape, Product

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_ATTENTION = "flowdpo_outline"
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_BYTES = {"float32": 4, "float64": 8}


def outline(base: BaseModel, lora: LoraSettings, shape: Path | None = None) -> ModelShape:
    """The shape of `base` with adapters of `lora`; `shape` is a folder whose config.json has it instead.

    Raises:
        UserError: there is no config.json, or the model it describes can't be laid out.
    """
    config = _config(base, shape)
    try:
        model = _without_numbers(config, base.trust_remote_code)
        return _shape_of(model, lora)
    except UserError:
        raise
    except Exception as error:  # code of any architecture
        first = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"a model of type {config.model_type} can't be laid out from its config.json alone "
            f"({type(error).__name__}: {first}): plan with --probe, which loads it."
        ) from error


def _config(base: BaseModel, shape: Path | None) -> PretrainedConfig:
    from transformers import AutoConfig

    path = str(shape) if shape is not None else base.path
    options: dict[str, Any] = {"trust_remote_code": base.trust_remote_code}
    try:
        if shape is not None and not (shape / "config.json").is_file():
            raise UserError(f"shape is {shape}, which has no config.json: name a folder that has one.")
        if not require_model_folder(path):
            options["local_files_only"] = not require_on_hub("base.path", path, "model", base.revision)
            options["revision"] = base.revision
    except UserError as error:
        if shape is not None:
            raise
        raise UserError(
            f"{error} (a plan needs its config.json alone: --shape=FOLDER names a folder with one)"
        ) from error
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(path, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"the config.json of {path!r} can't be read: {str(error).splitlines()[0]}") from error
    return config


def _without_numbers(config: PretrainedConfig, trust_remote_code: bool) -> PreTrainedModel:
    from transformers import AttentionInterface, AutoModelForCausalLM

    AttentionInterface.register(_ATTENTION, _attend)
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            config,
            attn_implementation=_ATTENTION,
            dtype=torch.bfloat16,
            trust_remote_code=trust_remote_code,
        )
        model.eval()
    return model


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **asked: Any
) -> tuple[Tensor, None]:
    """An attention that gives the right shape, and notes the shapes that it was given."""
    seen = asked.get("plan_seen")
    if seen is not None:
        seen[int(module.layer_idx)] = (query.shape[1], key.shape[1], key.shape[3], value.shape[3])  # type: ignore[arg-type]
    return query.new_empty(query.shape[0], query.shape[2], query.shape[1], value.shape[3]), None


def _shape_of(model: PreTrainedModel, lora: LoraSettings) -> ModelShape:
    decoder = decoder_of(model)
    linear = [(name, layer) for name, layer in decoder.named_modules() if isinstance(layer, nn.Linear)]
    seen: dict[int, tuple[int, int, int, int]] = {}

    def one_token() -> None:
        token = torch.zeros(1, 1, dtype=torch.long, device="meta")
        with torch.no_grad():
            decoder(input_ids=token, position_ids=token, use_cache=False, plan_seen=seen)

    groups = reading_together([layer for _, layer in linear], one_token)
    groups += [[index] for index in range(len(linear)) if not any(index in group for group in groups)]
    products: defaultdict[int, list[Product]] = defaultdict(list)
    for group in groups:
        members = [linear[index] for index in group]
        adapted = tuple(_is_adapted(name, lora.target_modules) for name, _ in members)
        outputs = tuple(layer.out_features for _, layer in members)
        products[_number(members[0][0])].append(Product(members[0][1].in_features, outputs, adapted))
    hidden, vocabulary = int(model.config.get_text_config().hidden_size), _vocabulary(model)
    vectors = _vectors(decoder)
    layers = tuple(
        LayerShape(
            tuple(products[number]),
            *seen[number],
            norms=sum(size == hidden for size in vectors[number]),
            head_norms=any(size in seen[number][2:] and size != hidden for size in vectors[number]),
        )
        for number in sorted(seen)
    )
    matrices = sum(product.parameters for of_layer in products.values() for product in of_layer)
    stored = str(getattr(model.config, "dtype", None) or "bfloat16").removeprefix("torch.")
    everything = sum(parameter.numel() for parameter in model.parameters())  # a tied one counts once
    return ModelShape(
        family=str(model.config.model_type),
        hidden=hidden,
        vocabulary=vocabulary,
        layers=layers,
        others=everything - matrices,
        stored_bytes=_BYTES.get(stored, 2),
    )


def _number(name: str) -> int:
    """The layer that a module is in."""
    found = _LAYER.search(name)
    return int(found[1]) if found else 0


def _vocabulary(model: PreTrainedModel) -> int:
    weight = model.get_output_embeddings().weight
    assert isinstance(weight, Tensor)
    return int(weight.shape[0])


def _vectors(decoder: nn.Module) -> defaultdict[int, list[int]]:
    """Sizes of the vectors named `weight` in each layer: norms."""
    sizes: defaultdict[int, list[int]] = defaultdict(list)
    for name, parameter in decoder.named_parameters():
        if parameter.dim() == 1 and name.endswith("weight") and _LAYER.search(name):
            sizes[_number(name)].append(parameter.numel())
    return sizes


def _is_adapted(name: str, targets: str | list[str]) -> bool:
    """As PEFT reads `target_modules`: the end of a name, or a regular expression for the whole."""
    if targets == "all-linear":
        return True
    if isinstance(targets, str):
        return re.fullmatch(targets, f"model.{name}") is not None
    return any(name == target or name.endswith(f".{target}") for target in targets)

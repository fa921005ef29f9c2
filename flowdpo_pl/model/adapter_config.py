"""What PEFT's settings say of a saved adapter: each is honoured, harmless, or refused by name.

PEFT builds and applies an adapter by its own config; we take two matrices a layer and one scale. What a
setting changes beyond these would be lost without a word, so nothing that is not known here passes.
"""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from flowdpo_pl.errors import UserError

HONOURED = frozenset(
    {
        *("peft_type", "task_type", "base_model_name_or_path"),
        *("r", "lora_alpha", "lora_dropout", "target_modules", "use_rslora"),
    }
)
HARMLESS = {
    "auto_mapping": "names of the base's classes",
    "peft_version": "for people",
    "revision": "of the base, and seldom set: not compared",
    "inference_mode": "which parameters learn, which is decided here",
    "megatron_core": "a module's name, read with megatron_config alone",
    "layers_pattern": "read with layers_to_transform alone",
    "qalora_group_size": "read with use_qalora alone",
    "loftq_config": "read where init_lora_weights is loftq",
    "eva_config": "of the start; the ranks that came of it are in rank_pattern",
    "corda_config": "read where init_lora_weights is corda",
    "lora_ga_config": "read where init_lora_weights is lora_ga",
    "velora_config": "how PEFT's own backward keeps activations",
    "runtime_config": "where PEFT computes",
    "ensure_weight_tying": "of layers in modules_to_save, and of embeddings",
}
"""Settings that do not change what a trained adapter computes, and why."""
REFUSED = {
    "rank_pattern": "layers with ranks of their own",
    "alpha_pattern": "layers with scales of their own",
    "use_dora": "DoRA scales the columns of the whole weight",
    "lora_bias": "the adapter has biases",
    "bias": "biases of the base were trained with it",
    "modules_to_save": "whole layers were trained with it",
    "trainable_token_indices": "embeddings were trained with it",
    "fan_in_fan_out": "weights lie transposed",
    "exclude_modules": "some layers that target_modules names have no adapter",
    "layers_to_transform": "some layers have no adapter",
    "layer_replication": "layers of the base are repeated",
    "target_parameters": "parameters that are no layers are adapted",
    "megatron_config": "layers are Megatron's",
    "alora_invocation_tokens": "the adapter acts behind certain tokens only",
    "use_qalora": "inputs are pooled in groups",
    "use_bdlora": "matrices are made of blocks",
    "monteclora_config": "weights are drawn",
    "arrow_config": "tokens choose among adapters",
    "kasa_config": "the base is cut down by a decomposition",
    "init_lora_weights": "its start was taken out of the base's weights, which it needs changed so",
}
"""Settings that change what an adapter computes, and how, unless they are off."""
_KEEPING_THE_BASE = (True, False, None, "gaussian", "orthogonal", "eva", "mica")
"""Starts of PEFT's that leave the base as it is."""


def adapter_config(folder: Path) -> dict[str, Any]:
    """PEFT's config of a saved adapter, which is plain LoRA on linear layers.

    Raises:
        UserError: `folder` holds no adapter, one of another kind, or a setting that is not honoured.
    """
    file = folder / "adapter_config.json"
    if not file.is_file():
        raise UserError(f"{folder} holds no adapter: it has no adapter_config.json.")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        kind, task = config.get("peft_type"), config.get("task_type")
        missing = [name for name in ("r", "lora_alpha", "target_modules") if config.get(name) is None]
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{file} is no config of an adapter: save the adapter again with PEFT.") from error
    if kind != "LORA":
        raise UserError(f"the adapter in {folder} is of peft_type {kind}: give one of LORA.")
    if task not in (None, "CAUSAL_LM"):
        raise UserError(f"the adapter in {folder} has task_type {task}: give one of CAUSAL_LM.")
    for name, value in config.items():
        if name not in HONOURED | HARMLESS.keys() and not _off(name, value):
            why = REFUSED.get(name, "nothing is known here of this setting")
            raise UserError(
                f"the adapter in {folder} has {name} {json.dumps(value)[:80]}, which is not supported "
                f"({why}): {_mend(name, value)}."
            )
    if missing:
        raise UserError(f"{file} does not say {missing[0]}: save the adapter again with PEFT.")
    modules = config["target_modules"]
    if not isinstance(modules, str) and not _are_texts(modules):
        raise UserError(f"{file} has target_modules that are no names: save the adapter again with PEFT.")
    known: dict[str, Any] = config
    return known


def plain_alpha(config: dict[str, Any]) -> float:
    """What gives an adapter's scale as alpha / r. rslora's is alpha / sqrt(r), arXiv 2312.03732."""
    alpha: float = config["lora_alpha"]
    return alpha * math.sqrt(config["r"]) if config.get("use_rslora") else alpha


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _off(name: str, value: Any) -> bool:
    """Whether the setting changes nothing with this value."""
    if name == "bias":
        return value in (None, "none")
    if name == "init_lora_weights":
        return (value.lower() if isinstance(value, str) else value) in _KEEPING_THE_BASE
    return value in (None, False, [], {}) or (name not in REFUSED and value == _default(name))


def _default(name: str) -> Any:
    """Of a setting that only a later PEFT knows; PEFT's defaults are plain LoRA."""
    from peft import LoraConfig

    found = [field.default for field in fields(LoraConfig) if field.name == name]
    return found[0] if found and found[0] is not MISSING else None


def _mend(name: str, value: Any) -> str:
    if name == "init_lora_weights":
        return (
            "save it as plain LoRA with PEFT's save_pretrained(path_initial_model_for_weight_conversion=...)"
            if str(value).lower().startswith(("pissa", "corda", "olora"))
            else "merge it with PEFT into the base that it was trained on"
        )
    return "merge it with PEFT and give the result as the base, or train a plain LoRA adapter"

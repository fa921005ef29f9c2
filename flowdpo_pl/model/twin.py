"""A small model of the same make as a base: its config cut down, its weights random.

The twin has the fewest leading layers that hold every kind of layer, narrower layers with the same number of
heads, few experts, a small vocabulary and short windows, so that a hundred tokens on a CPU show in
milliseconds what an architecture computes. Weights are large enough that attention, windows and caps matter.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from flowdpo_pl.model.attention import ATTENTION
from flowdpo_pl.model.base import decoder_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_VOCABULARY = 128
_WINDOW = 12
_LEAST_HIDDEN, _LEAST_HEAD = 128, 8
_MOST_EXPERTS = 32
_MOST_WEIGHTS = 2**26  # a quarter of a GiB

_WIDTH = re.compile(r"(?<!vocab)_(size|dim|rank|width|channels|embd|inner|model)$")
_NO_WIDTH = re.compile(r"vocab|window|chunk|block|patch|image|kernel|conv|position|group|state|batch")
_SHORT = re.compile(r"(?<!max_)window(?!_layers)|attention_chunk_size|index_topk")
_EXPERTS = re.compile(r"^(n|num)_(routed_|local_)?experts$")
_TOKEN = re.compile(r"_token_(id|ids|index)$|_token_idx$")


@dataclass(frozen=True)
class Twin:
    """Two copies of one small random model."""

    ours: PreTrainedModel
    """With the project's attention."""
    eager: PreTrainedModel
    """With transformers' own."""


class NoTwin(Exception):
    """A config can't be cut down; says why."""


def twin_of(model: PreTrainedModel) -> Twin:
    """A twin of `model` in float32 on the CPU.

    Neither the global generators nor the default device or dtype are touched.

    Raises:
        NoTwin: the config can't be cut down.
    """
    small = sum(p.numel() for p in model.parameters()) <= _MOST_WEIGHTS
    reason = "it stays too large"
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), _quiet():
        torch.manual_seed(0)
        for config in _cuts(model):
            try:
                if not small and _weights_of(type(model), config) > _MOST_WEIGHTS:
                    continue
                ours, eager = (_built(type(model), config, name) for name in (ATTENTION, "eager"))
                _randomize(ours)
                eager.load_state_dict(ours.state_dict())
                with torch.no_grad():
                    eager(input_ids=torch.arange(1, 9)[None], use_cache=False)
            except Exception as error:  # whatever a foreign config can't be cut to
                reason = _first_line(error)
                continue
            return Twin(ours, eager)
    raise NoTwin(reason)


def _cuts(model: PreTrainedModel) -> Iterator[PretrainedConfig]:
    """Cut configs to try, the smallest first."""
    try:
        text = model.config.get_text_config()
        # all layers, where those that share keys and values can't do without the ones before
        counts = dict.fromkeys((_leading_layers(model), int(text.num_hidden_layers)))
        yield from (_cut(model.config, layers, factor) for factor, layers in product(_factors(text), counts))
    except Exception as error:
        raise NoTwin(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def _built(kind: type[PreTrainedModel], config: PretrainedConfig, attention: str) -> PreTrainedModel:
    model: Any = kind._from_config(copy.deepcopy(config), attn_implementation=attention, dtype=torch.float32)
    assert model.config._attn_implementation == attention
    model.requires_grad_(False)
    twin: PreTrainedModel = model.eval()
    return twin


def _weights_of(kind: type[PreTrainedModel], config: PretrainedConfig) -> int:
    """How many weights such a model would have; nothing is allocated."""
    with torch.device("meta"):
        return sum(p.numel() for p in _built(kind, config, "eager").parameters())


def _randomize(model: nn.Module) -> None:
    """Matrices keep the size of what they multiply; vectors (norms, biases, sinks) leave their start."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=1.2 / parameter.shape[-1] ** 0.5)
            else:
                parameter.add_(torch.randn_like(parameter), alpha=0.2)


def _leading_layers(model: PreTrainedModel) -> int:
    """The fewest leading layers that hold every kind of layer."""
    count = int(model.config.get_text_config().num_hidden_layers)
    for module in decoder_of(model).modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            kinds = [_kind(layer) for layer in module]
            return max(kinds.index(kind) for kind in kinds) + 1
    return count


def _kind(layer: nn.Module) -> tuple[Any, ...]:
    """What tells layers apart: classes, shapes and plain settings inside, but not their number."""
    return tuple(
        (
            name,
            type(module).__name__,
            tuple(
                (key, value)
                for key, value in sorted(vars(module).items())
                if isinstance(value, bool | int | float | str | None) and key not in ("layer_idx", "training")
            ),
            tuple((key, tuple(weight.shape)) for key, weight in module.named_parameters(recurse=False)),
        )
        for name, module in layer.named_modules()
    )


def _factors(config: PretrainedConfig) -> Iterator[int]:
    """By what widths are divided, the narrowest twin first."""
    heads = getattr(config, "num_attention_heads", None) or 1
    sizes = [value for key, value in config.to_dict().items() if "head_dim" in key and isinstance(value, int)]
    smallest = min([size for size in sizes if size] or [config.hidden_size // heads])
    factor = 1
    while config.hidden_size // (2 * factor) >= _LEAST_HIDDEN and smallest // (2 * factor) >= _LEAST_HEAD:
        factor *= 2
    yield factor
    if factor > 4:
        yield 4
    if factor > 1:
        yield 1


def _cut(config: PretrainedConfig, layers: int, factor: int) -> PretrainedConfig:
    """A config of the same class with so many layers and narrower; what is counted in tokens is small."""
    text = config.get_text_config()
    whole = config.to_dict()
    whole.pop("quantization_config", None)
    inner = whole
    if text is not config:
        inner = next(whole[key] for key in config.sub_configs if getattr(config, key, None) is text)
    name = text.attribute_map.get("num_hidden_layers", "num_hidden_layers")
    count = int(text.num_hidden_layers)
    for key, value in inner.items():
        if isinstance(value, list) and len(value) == count and key != "architectures":
            inner[key] = value[:layers]
    inner[name] = layers
    _shrink(whole, factor)
    return type(config).from_dict(whole)


def _shrink(settings: dict[str, Any], factor: int) -> None:
    for key, value in settings.items():
        if not isinstance(key, str):  # id2label
            continue
        if isinstance(value, dict):
            _shrink(value, factor)
        elif _TOKEN.search(key):
            settings[key] = _least(value, _VOCABULARY - 1)
        elif "vocab_size" in key:
            settings[key] = _least(value, _VOCABULARY)
        elif _SHORT.search(key):
            settings[key] = _least(value, _WINDOW)
        elif _EXPERTS.search(key):
            settings[key] = _least(value, _MOST_EXPERTS)
        elif _WIDTH.search(key) and not _NO_WIDTH.search(key):
            settings[key] = _narrowed(value, factor)


def _least(value: Any, most: int) -> Any:
    """Numbers, in lists too, at most `most`."""
    if isinstance(value, list):
        return [_least(one, most) for one in value]
    return min(value, most) if _is_count(value) else value


def _narrowed(value: Any, factor: int) -> Any:
    if isinstance(value, list):
        return [_narrowed(one, factor) for one in value]
    return value // factor if _is_count(value) and value >= 2 * factor else value


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers warns of settings that a cut config no longer fits."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)

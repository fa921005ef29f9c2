"""Models of types that nobody has heard of: one that is a Llama, and others that do something more.

Each differs from Llama in one thing that a name would not tell.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaMLP


class PlainConfig(LlamaConfig):
    model_type = "made_plain"


class Plain(LlamaForCausalLM):
    """A Llama under another name."""

    config_class = PlainConfig


class SinksConfig(LlamaConfig):
    model_type = "made_sinks"


class SinkAttention(LlamaAttention):
    """Hands a learnt sink to its attention, like gpt_oss."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.sinks = nn.Parameter(torch.zeros(config.num_attention_heads))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return super().forward(*args, s_aux=self.sinks, **kwargs)


class Sinks(LlamaForCausalLM):
    config_class = SinksConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        for index, layer in enumerate(self.model.layers):
            layer.self_attn = SinkAttention(config, index)


class TwiceConfig(LlamaConfig):
    model_type = "made_twice"


class TwiceAttention(LlamaAttention):
    """Two calls of the interface a layer: a cache would hold the second one's keys for both."""

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        first, _ = super().forward(hidden_states, *args, **kwargs)
        second, weights = super().forward(hidden_states * 0.5, *args, **kwargs)
        return first - second, weights


class Twice(LlamaForCausalLM):
    config_class = TwiceConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        for index, layer in enumerate(self.model.layers):
            layer.self_attn = TwiceAttention(config, index)


class OwnAttentionConfig(LlamaConfig):
    model_type = "made_own_attention"


class OwnAttention(LlamaAttention):
    """Averages what came before, without asking the interface."""

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        count = torch.arange(1, hidden_states.shape[1] + 1, device=hidden_states.device)[:, None]
        return hidden_states.cumsum(1) / count, None


class OwnAttentionModel(LlamaForCausalLM):
    config_class = OwnAttentionConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model.layers[1].self_attn = OwnAttention(config, 1)


class ShiftConfig(LlamaConfig):
    model_type = "made_shift"


class ShiftMLP(LlamaMLP):
    """Reads the token before too: every layer attends once, and still has a state of its own."""

    def forward(self, x: Tensor) -> Tensor:
        before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)
        result: Tensor = super().forward(x + 0.5 * before)
        return result


class Shift(LlamaForCausalLM):
    config_class = ShiftConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        for layer in self.model.layers:
            layer.mlp = ShiftMLP(config)


class CubedConfig(LlamaConfig):
    model_type = "made_cubed"


class Cubed(LlamaForCausalLM):
    """Logits that are no scalar times the product."""

    config_class = CubedConfig

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = super().forward(*args, **kwargs)
        output.logits = output.logits**3
        return output


class HalvedConfig(LlamaConfig):
    model_type = "made_halved"
    halved_by: float = 0.35


class Halved(LlamaForCausalLM):
    """A scale of the logits under a name of its own."""

    config_class = HalvedConfig

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = super().forward(*args, **kwargs)
        output.logits = output.logits / self.config.halved_by
        return output


MADE = {
    kind.config_class.model_type: kind
    for kind in (Plain, Sinks, Twice, OwnAttentionModel, Shift, Cubed, Halved)
}


def register() -> None:
    """Let transformers' auto classes know them (idempotent)."""
    for name, kind in MADE.items():
        AutoConfig.register(name, kind.config_class, exist_ok=True)
        AutoModelForCausalLM.register(kind.config_class, kind, exist_ok=True)

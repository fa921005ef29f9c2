"""A twin is small, of the same make, and holds every kind of layer; building it leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from flowdpo_pl.model.attention import ATTENTION
from flowdpo_pl.model.attention import register as register_attention
from flowdpo_pl.model.twin import NoTwin, Twin, twin_of


def large(model_type: str, **settings: Any) -> Any:
    """A model of its family's own default size, without weights."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **settings))


def twin(model_type: str, **settings: Any) -> Twin:
    register_attention()
    return twin_of(large(model_type, **settings))


def test_a_twin_of_a_large_model_is_small_and_keeps_its_heads() -> None:
    made = twin("llama", num_key_value_heads=8)
    config = made.ours.config
    assert (config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads) == (1, 32, 8)
    assert config.vocab_size == 128 and config.hidden_size == 256
    assert sum(p.numel() for p in made.ours.parameters()) < 2_000_000
    for own, same in zip(made.ours.parameters(), made.eager.parameters(), strict=True):
        assert torch.equal(own, same) and own.dtype == torch.float32 and own.device.type == "cpu"
    assert (made.ours.config._attn_implementation, made.eager.config._attn_implementation) == (
        ATTENTION,
        "eager",
    )


@pytest.mark.parametrize(
    ("model_type", "settings", "layers"),
    [
        ("gemma3_text", {}, ["sliding_attention"] * 5 + ["full_attention"]),
        ("gemma2", {}, ["sliding_attention", "full_attention"]),
        ("smollm3", {}, ["full_attention"] * 4),  # the fourth has no rotary positions
    ],
)
def test_it_has_the_fewest_leading_layers_that_hold_every_kind(
    model_type: str, settings: dict[str, Any], layers: list[str]
) -> None:
    config = twin(model_type, **settings).ours.config
    assert config.layer_types == layers and config.num_hidden_layers == len(layers)


def test_windows_are_shorter_than_what_is_read() -> None:
    assert twin("mistral", sliding_window=4096).ours.config.sliding_window == 12


def test_nothing_global_is_touched() -> None:
    before = torch.random.get_rng_state()
    with torch.device("meta"):
        made = twin("qwen3")
    assert torch.equal(before, torch.random.get_rng_state())
    assert {p.device.type for p in made.ours.parameters()} == {"cpu"}
    assert torch.get_default_dtype() == torch.float32 and torch.empty(0).device.type == "cpu"


def test_what_can_t_be_cut_down_says_why() -> None:
    class Stubborn(nn.Module):
        config = AutoConfig.for_model("llama")

        def get_decoder(self) -> nn.Module:
            return self

        @classmethod
        def _from_config(cls, *_: Any, **__: Any) -> None:
            raise ValueError("hidden_size must be 4096\nor so")

    with pytest.raises(NoTwin, match=r"ValueError: hidden_size must be 4096$"):
        twin_of(Stubborn())  # type: ignore[arg-type]

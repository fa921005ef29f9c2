"""What computes the same as transformers' own forward is accepted, what doesn't is refused, by no name."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.attention import ATTENTION
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.model.twin import NoTwin
from flowdpo_pl.play.engines import agreement
from flowdpo_pl.play.engines.agreement import require_twin_agrees, require_weights_agree
from flowdpo_pl.play.flows.answer_stop import ANSWER
from flowdpo_pl.play.flows.single import SingleFlow
from flowdpo_pl.play.prompts import AgentPrompt
from flowdpo_pl.play.team import Team
from tests.made_models import register
from tests.model.test_structure import built
from tests.models import FAMILIES, write_model

LORA = LoraSettings(r=2, alpha=4)


def agents_of(model_type: str, **settings: Any) -> Agents:
    """With weights large enough to matter."""
    model = built(model_type, **settings)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.25)
    return Agents(model, (ANSWER,), LORA)


MOE = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
LATENT = {
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
    "num_key_value_heads": 4,
}
RIGHT: dict[str, dict[str, Any]] = {
    **{name: {k: v for k, v in family.items() if k != "model_type"} for name, family in FAMILIES.items()},
    "made_plain": {},
    "made_halved": {},
    "granite": {"logits_scaling": 4.0},
    "cohere": {"logit_scale": 0.25},
    "mixtral": {"num_local_experts": 4},
    "qwen3_moe": {"num_experts": 4, **MOE},
    "deepseek_v3": {**LATENT, **MOE, "n_routed_experts": 4, "n_group": 1, "topk_group": 1},
    "gemma4_text": {
        "head_dim": 8,
        "global_head_dim": 16,
        "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": 64,
        "num_kv_shared_layers": 0,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 12,
    },
}
"""Families whose caches, windows, caps, experts, scales differ."""


@pytest.mark.parametrize("model_type", RIGHT)
def test_what_computes_the_same_is_accepted(model_type: str) -> None:
    agents = agents_of(model_type, **RIGHT[model_type])
    before = [parameter.clone() for parameter in agents.parameters()]
    state = torch.random.get_rng_state()
    require_twin_agrees(agents, LORA)
    require_weights_agree(agents)
    assert torch.equal(state, torch.random.get_rng_state())
    assert agents.base.config._attn_implementation == ATTENTION and agents.training
    for parameter, old in zip(agents.parameters(), before, strict=True):
        assert torch.equal(parameter, old) and parameter.grad is None


WRONG: dict[str, dict[str, Any]] = {
    "made_shift": {},
    "gemma3_text": {"head_dim": 16, "use_bidirectional_attention": True},
}
"""One call of attention a layer with nothing unknown, and yet another function."""


@pytest.mark.parametrize("model_type", WRONG)
def test_what_computes_something_else_is_refused_on_a_twin_and_on_its_weights(model_type: str) -> None:
    agents = agents_of(model_type, **WRONG[model_type])
    with pytest.raises(UserError, match=rf"type {model_type} are not supported: packed .* differ from those"):
        require_twin_agrees(agents, LORA)
    with pytest.raises(UserError, match=r"log-probabilities of its weights differ.* base\.compare_weights"):
        require_weights_agree(agents)
    assert agents.base.config._attn_implementation == ATTENTION


def test_weights_are_compared_in_their_dtype() -> None:
    agents = Agents(built("llama").to(torch.bfloat16), (ANSWER,), LORA)
    require_weights_agree(agents)
    layer = agents.base.model.layers[0].self_attn
    layer.scaling *= 3  # seen by both
    require_weights_agree(agents)


def test_a_window_longer_than_what_is_read_is_shortened_in_the_twin() -> None:
    """Llama 4 hides what lies in another chunk of 8192 tokens: nothing that 64 tokens would show."""
    agents = agents_of("mistral", head_dim=8, sliding_window=4096)
    seen: list[int | None] = []

    def noted(twin: Any, lora: LoraSettings) -> None:
        seen.append(twin.ours.config.sliding_window)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "_require_equal", noted)
        require_twin_agrees(agents, LORA)
    assert seen == [12]


def test_a_gradient_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from flowdpo_pl.model import adapter_product

    agents = agents_of("llama")
    plain = adapter_product._joined

    def halved(flat: Any, dtype: torch.dtype) -> Any:
        down, up = plain(flat, dtype)
        return down, up / 2 if not torch.is_grad_enabled() and up.requires_grad is False else up

    monkeypatch.setattr(adapter_product, "_joined", halved)
    with pytest.raises(UserError, match="differ"):
        require_twin_agrees(agents, LORA)


def test_what_can_t_be_cut_down_is_named_as_not_checked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(_: nn.Module) -> None:
        raise NoTwin("it stays too large")

    monkeypatch.setattr(agreement, "twin_of", none)
    with caplog.at_level(logging.WARNING):
        require_twin_agrees(agents_of("llama"), LORA)
    assert "type llama are not checked" in caplog.text and "it stays too large" in caplog.text


def team(folder: Path, **settings: Any) -> Team:
    base = BaseModel(str(folder), dtype="float32", **settings)
    return Team(base, {ANSWER: AgentPrompt("the problem : {question}")}, SingleFlow(12), LORA)


def test_a_team_of_an_unknown_type_is_loaded_or_refused_by_what_it_computes(tmp_path: Path) -> None:
    register()
    team(write_model(tmp_path / "plain", model_type="made_plain")).load(seed=0)
    for name in ("made_sinks", "made_shift"):
        folder = write_model(tmp_path / name, model_type=name)
        with pytest.raises(UserError, match=f"models of type {name} are not supported"):
            team(folder).load(seed=0)


def test_an_argument_turns_the_comparison_of_weights_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, called = write_model(tmp_path / "llama"), []
    monkeypatch.setattr("flowdpo_pl.play.team.require_weights_agree", called.append)
    team(folder, compare_weights=False).load(seed=0)
    assert not called
    team(folder).load(seed=0)
    assert len(called) == 1


def test_fused_experts_are_said_when_a_team_is_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_model(tmp_path / "moe", model_type="mixtral", num_local_experts=4)
    with caplog.at_level(logging.WARNING):
        team(folder).load(seed=0)
    assert "all-linear leaves out experts in fused tensors" in caplog.text

"""What gets an adapter is linear and met by a text; the rest of `all-linear` is left out and said."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor, nn

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.model.targets import require_met, what_is_left_out
from tests.model.test_structure import built

LORA = LoraSettings(r=2)
EXPERTS: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": 4},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
}


@pytest.mark.parametrize("model_type", EXPERTS)
def test_fused_experts_get_no_adapter_and_it_is_said(model_type: str) -> None:
    agents = Agents(built(model_type, **EXPERTS[model_type]), ("answer", "stop"), LORA)
    assert {name.rpartition(".")[2] for name in agents.layer_names} == {
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
    }
    assert len(agents.layer_names) == 8
    told = what_is_left_out(agents.base, LORA, agents.layer_names)
    assert told and "all-linear leaves out experts in fused tensors (model.layers.0.mlp.experts" in told
    assert told.endswith("adapted are k_proj, o_proj, q_proj, v_proj.")


def test_a_dense_model_is_adapted_whole_and_nothing_is_said() -> None:
    agents = Agents(built("llama"), ("answer",), LORA)
    assert len(agents.layer_names) == 14
    assert what_is_left_out(agents.base, LORA, agents.layer_names) is None


@pytest.mark.parametrize(
    ("model_type", "targets", "told"),
    [
        ("llama", ["embed_tokens"], r"reaches model.embed_tokens of type Embedding, which can't be adapted"),
        ("llama", ["no_such"], r"can't be adapted by PEFT: Target modules .*no_such.* not found"),
        ("gpt2", "all-linear", r"reaches transformer.h.0.attn.c_attn of type Conv1D"),
    ],
)
def test_what_can_t_be_adapted_is_one_sentence(model_type: str, targets: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Agents(built(model_type), ("answer",), LoraSettings(target_modules=targets))


@pytest.mark.parametrize("dropout", [0.0, 0.05])
def test_experts_named_by_hand_are_refused(dropout: float) -> None:
    with pytest.raises(UserError, match=r"lora\.target_modules"):
        lora = LoraSettings(dropout=dropout, target_modules=["q_proj", "w1", "w2", "w3"])
        Agents(built("mixtral", num_local_experts=4), ("answer",), lora)


def test_a_layer_that_no_text_goes_through_is_refused() -> None:
    require_met(["a", "b"], [[1], [0]])
    with pytest.raises(UserError, match=r"reaches b, which a token of text does not go through"):
        require_met(["a", "b"], [[0]])
    model = built("llama")
    model.model.layers[0].spare = nn.Linear(32, 32)
    with pytest.raises(UserError, match=r"reaches model\.layers\.0\.spare"):
        Agents(model, ("answer",), LORA)


class Router(nn.Linear):
    """Says which output is largest, too."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y * (y == y.amax(-1, keepdim=True))


def with_router() -> Any:
    model = built("llama")
    for layer in model.model.layers:
        layer.mlp.gate_proj = Router(32, 48, bias=False).requires_grad_(False)
    return model


def test_a_router_that_calls_itself_linear_is_left_out() -> None:
    agents = Agents(with_router(), ("answer",), LORA)
    assert len(agents.layer_names) == 12 and not any("gate_proj" in name for name in agents.layer_names)
    told = what_is_left_out(agents.base, LORA, agents.layer_names)
    assert told and "layers that are more than linear (model.layers.0.mlp.gate_proj" in told
    with pytest.raises(UserError, match=r"gate_proj of type Router, which can't be adapted"):
        Agents(with_router(), ("answer",), LoraSettings(target_modules=["gate_proj"]))


def test_a_tower_that_reads_no_text_is_left_out() -> None:
    model = built("llama")
    model.vision = nn.Linear(32, 32)
    agents = Agents(model, ("answer",), LORA)
    assert len(agents.layer_names) == 14 and "vision" not in agents.layer_names
    told = what_is_left_out(agents.base, LORA, agents.layer_names)
    assert told and "layers that no text goes through (vision)" in told

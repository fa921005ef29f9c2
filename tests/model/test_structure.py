"""A forward shows what a model computes, whatever its name: its caches, its attention, its logits' scale."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.attention import ATTENTION, TreeView
from flowdpo_pl.model.attention import register as register_attention
from flowdpo_pl.model.base import decoder_of
from flowdpo_pl.model.output_head import OutputHead
from flowdpo_pl.model.structure import CacheShape, Structure, refusing, structure_of
from tests.made_models import register
from tests.models import COMMON


def built(model_type: str, **settings: Any) -> Any:
    register()
    register_attention()
    config = AutoConfig.for_model(model_type, **{**COMMON, **settings})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=ATTENTION)
    return model.requires_grad_(False).eval()


@pytest.mark.parametrize("model_type", ["llama", "made_plain"])
def test_a_llama_is_one_under_any_name(model_type: str) -> None:
    assert structure_of(built(model_type)) == Structure((CacheShape(2, 8, 8),) * 2, 1.0, None)


@pytest.mark.parametrize(
    ("model_type", "why"),
    [
        ("made_sinks", "SinkAttention passes s_aux to its attention"),
        ("made_twice", "its 2 layers call their attention 4 times in a forward"),
        ("made_own_attention", "of its 2 layers number 1 never calls"),
        ("made_cubed", "its logits are not the product of hidden states and output weights"),
        ("mamba", "of its 2 layers number 0, 1 never calls"),
    ],
)
def test_what_would_be_left_out_is_refused_with_its_reason(model_type: str, why: str) -> None:
    with pytest.raises(UserError, match=rf"models of type {model_type} are not supported: .*{why}"):
        structure_of(built(model_type))


def test_layers_may_have_caches_of_their_own_shapes() -> None:
    latent = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8}
    shapes = structure_of(
        built("deepseek_v3", **latent, v_head_dim=12, n_routed_experts=4, n_group=1, topk_group=1)
    ).caches
    assert {(shape.key_size, shape.value_size) for shape in shapes} == {(16, 12)}


@pytest.mark.parametrize(
    ("model_type", "settings", "scale"),
    [
        ("granite", {"logits_scaling": 8.0}, 1 / 8),
        ("cohere", {"logit_scale": 0.25}, 0.25),
        ("made_halved", {}, 1 / 0.35),
        ("llama", {}, 1.0),
        ("gemma2", {"head_dim": 8, "final_logit_softcapping": 5.0}, 1.0),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_scalar_on_the_logits_is_found_and_kept(
    model_type: str, settings: dict[str, Any], scale: float, dtype: torch.dtype
) -> None:
    model = built(model_type, **settings).to(dtype)
    seen = structure_of(model)
    assert (seen.logit_scale, seen.softcap) == (scale, settings.get("final_logit_softcapping"))
    head = OutputHead(model.get_output_embeddings().weight, None, seen.softcap, (), seen.logit_scale)
    ids = torch.arange(5, 25)[None]
    view = TreeView(ids - 5, torch.zeros_like(ids), torch.zeros_like(ids))
    options: dict[str, Any] = {"input_ids": ids, "position_ids": ids - 5, "use_cache": False, "view": view}
    ours, own = head.logits(decoder_of(model)(**options).last_hidden_state[0]), model(**options).logits[0]
    tolerance = 1e-5 if dtype == torch.float32 else 0.02
    torch.testing.assert_close(ours, own.float(), atol=tolerance, rtol=tolerance)


def test_a_foreign_error_names_the_model_and_lack_of_memory_stays_itself() -> None:
    model = built("llama")
    with (
        pytest.raises(UserError, match="type llama are not supported: it stops with KeyError: 'x'"),
        refusing(model),
    ):
        raise KeyError("x")
    with pytest.raises(torch.OutOfMemoryError), refusing(model):
        raise torch.OutOfMemoryError

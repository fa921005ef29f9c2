"""A base is loaded frozen, and what it says of itself is read right; what can't serve is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Phi3Config

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.base import (
    BaseModel,
    context_limit,
    decoder_of,
    end_token_ids,
    fingerprint,
)
from tests.models import write_model
from tests.runs import MODEL


def of_config(config: Any) -> Any:
    return SimpleNamespace(config=config)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_base_is_frozen_in_its_dtype_and_never_trains(dtype: Any, models: Callable[[str], Path]) -> None:
    model, tokenizer = BaseModel(str(models("llama")), dtype=dtype).load()
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not any(module.training for module in model.modules())
    assert tokenizer.chat_template


def test_what_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no model folder \(it has no config.json\)"):
        BaseModel(str(tmp_path)).load()
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises((UserError, ValueError)):
        BaseModel(str(tmp_path)).load()


def test_a_tokenizer_alone_has_the_end_tokens_of_the_whole_model(models: Callable[[str], Path]) -> None:
    for folder in (models("llama"), MODEL):
        base = BaseModel(str(folder), dtype="float32")
        (model, whole), (alone, ends) = base.load(), base.load_tokenizer()
        assert ends == end_token_ids(model, whole) and alone("1 2 Yes") == whole("1 2 Yes")
    with pytest.raises(UserError, match="is no model folder"):
        BaseModel("no/such/model").load_tokenizer()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config.json", '{"model_type": "nobody_s"}'),
        ("config.json", "[1]"),
        ("generation_config.json", '{"eos_token_id": "a"}'),
        ("tokenizer.json", "{}"),
    ],
)
def test_a_base_whose_files_are_of_another_form_is_one_sentence(file: str, text: str, tmp_path: Path) -> None:
    base = Path(shutil.copytree(MODEL, tmp_path / "base"))
    (base / file).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="can't be read: "):
        BaseModel(str(base)).load_tokenizer()


def test_end_tokens_are_the_tokenizer_s_own_first_each_once() -> None:
    def ends(own: Any, generation: Any, config: Any) -> tuple[int, ...]:
        model = SimpleNamespace(
            generation_config=SimpleNamespace(eos_token_id=generation),
            config=SimpleNamespace(eos_token_id=config),
        )
        return end_token_ids(model, SimpleNamespace(eos_token_id=own))  # type: ignore[arg-type]

    assert ends(7, [5, 7], 9) == (7, 5, 9)
    assert ends(None, None, [3, 3]) == (3,)
    assert ends(None, None, None) == ()


def test_a_context_ends_where_a_rotary_embedding_is_exchanged() -> None:
    assert context_limit(of_config(LlamaConfig(max_position_embeddings=4096))) == 4096
    factors = [1.0] * 48
    longrope = {"rope_type": "longrope", "short_factor": factors, "long_factor": factors, "rope_theta": 1e4}
    switched = Phi3Config(
        max_position_embeddings=131_072, original_max_position_embeddings=4096, rope_parameters=longrope
    )
    assert context_limit(of_config(switched)) == 4096
    llama3 = {
        "rope_type": "llama3",
        "rope_theta": 1e4,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    scaled = LlamaConfig(max_position_embeddings=131_072, rope_parameters=llama3)
    assert context_limit(of_config(scaled)) == 131_072  # its frequencies are the same at any length


def test_a_fingerprint_is_of_the_weights_alone(tmp_path: Path, models: Callable[[str], Path]) -> None:
    def printed(folder: Path, dtype: torch.dtype = torch.float32) -> str:
        return fingerprint(AutoModelForCausalLM.from_pretrained(folder, dtype=dtype))

    own = printed(models("llama"))
    assert own == printed(write_model(tmp_path / "again")) == printed(models("llama"), torch.bfloat16)
    assert own != printed(write_model(tmp_path / "other", seed=1))
    assert own != printed(models("mistral"))
    merged = AutoModelForCausalLM.from_pretrained(models("llama"), dtype=torch.float32)
    with torch.no_grad():
        merged.model.layers[-1].mlp.down_proj.weight += 0.5  # as `merge` does; the embeddings stay
    merged.save_pretrained(tmp_path / "merged")
    assert own != printed(tmp_path / "merged")


def test_a_decoder_s_states_through_the_head_are_the_model_s_logits(models: Callable[[str], Path]) -> None:
    model = AutoModelForCausalLM.from_pretrained(models("qwen3"), dtype=torch.float32)
    ids = torch.arange(5, 15)[None]
    with torch.no_grad():
        hidden = decoder_of(model)(input_ids=ids).last_hidden_state
        torch.testing.assert_close(model.get_output_embeddings()(hidden), model(ids).logits)


def test_a_class_that_knows_no_other_attention_is_one_sentence(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "falcon", model_type="falcon")
    with pytest.raises(UserError, match=r"is no model that can be used: KeyError: 'flowdpo'"):
        BaseModel(str(folder)).load()

"""A merged model is the base with its adapter, for us and for plain transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.packing import ScoredMove, pack_rows
from flowdpo_pl.learn.scoring import MicroBatch, move_logprobs
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.merging import Merged, merged
from flowdpo_pl.play.flows.answer_stop import ANSWER
from tests.foreign_adapters import peft_logits, plain_base, save_foreign
from tests.model.test_agents import LORA, trained
from tests.models import FAMILIES, write_model
from tests.oracles import PlainAgents

TOKENS = tuple(range(20, 50))


def merge(base: Path, adapter: Path, output: Path, **options: Any) -> Merged:
    """Write the sum as a folder."""
    made = merged(BaseModel(str(base), **{"dtype": "float32", **options}), adapter)
    made.model.save_pretrained(output)
    made.tokenizer.save_pretrained(output)
    return made


def saved_adapter(base: Path, folder: Path) -> Path:
    trained(base).save(folder)
    return folder / ANSWER


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_base_with_its_adapter(family: str, tmp_path: Path) -> None:
    base = write_model(tmp_path / "base", family)
    adapter = saved_adapter(base, tmp_path / "adapters")
    assert merge(base, adapter, tmp_path / "merged").largest < 1e-3
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", attn_implementation="eager")
    assert type(plain) is type(AutoModelForCausalLM.from_pretrained(base)) and plain.dtype == torch.float32
    unmerged = PlainAgents(base, tmp_path / "adapters", [ANSWER])
    with torch.no_grad():
        merged_logits = plain(torch.tensor([TOKENS])).logits[0]
        torch.testing.assert_close(merged_logits, unmerged.logits(ANSWER, TOKENS), atol=1e-3, rtol=1e-3)
        assert not torch.allclose(merged_logits, unmerged.logits(None, TOKENS), atol=1e-2)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(base).chat_template


def test_the_merged_base_as_reference_is_the_initial_adapter_as_reference(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    adapter = saved_adapter(base, tmp_path / "adapters")
    merge(base, adapter, tmp_path / "merged")
    kept = Agents(BaseModel(str(base), dtype="float32").load()[0], [ANSWER], LORA)
    kept.load_saved(ANSWER, adapter)
    kept.freeze_reference()
    merged = Agents(BaseModel(str(tmp_path / "merged"), dtype="float32").load()[0], [ANSWER], LORA)
    batch = MicroBatch.of(pack_rows([ScoredMove(TOKENS[:9], TOKENS[9:], 0)]), torch.device("cpu"))
    scores = []
    for agents in (kept, merged):
        head = agents.head((2, 3))
        with agents.reference(ANSWER):
            scores.append(move_logprobs(agents, batch, head) / len(TOKENS[9:]))
    torch.testing.assert_close(*scores, atol=1e-5, rtol=1e-5)


def test_weights_are_rounded_once_to_the_type_that_the_base_is_loaded_in(tmp_path: Path) -> None:
    base = write_model(tmp_path / "exact")
    adapter = saved_adapter(base, tmp_path / "adapters")
    merge(base, adapter, tmp_path / "merged_exact")
    merge(base, adapter, tmp_path / "merged_16", dtype="bfloat16")
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "merged_16")
    assert found.dtype == torch.bfloat16
    start = AutoModelForCausalLM.from_pretrained(base).state_dict()
    exact = AutoModelForCausalLM.from_pretrained(tmp_path / "merged_exact").state_dict()
    for name, value in found.state_dict().items():
        summed = start[name].to(torch.bfloat16).float() + (exact[name] - start[name])
        torch.testing.assert_close(value.float(), summed.to(torch.bfloat16).float(), atol=1e-6, rtol=1 / 128)


def test_what_cannot_be_merged_is_said_in_one_sentence(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    adapter = saved_adapter(base, tmp_path / "adapters")

    def refusal(base: Path, adapter: Path, **options: Any) -> str:
        with pytest.raises(UserError) as caught:
            merge(base, adapter, tmp_path / "out", **options)
        return str(caught.value)

    assert "holds no adapter" in refusal(base, tmp_path)
    assert "no model folder" in refusal(tmp_path / "adapters", adapter)
    other = write_model(tmp_path / "other", hidden_size=16)
    assert "does not fit" in refusal(other, adapter)
    assert "beside a base in nf4" in refusal(base, adapter, quantization="nf4")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("settings", [{"use_rslora": True}, {"target_modules": r".*\.(v|up)_proj"}], ids=str)
def test_an_adapter_of_peft_s_is_merged_as_peft_computes_it(settings: dict[str, Any], tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    adapter = save_foreign(base, tmp_path / "adapter", **settings)
    merge(base, adapter, tmp_path / "merged")
    with torch.no_grad():
        merged = plain_base(tmp_path / "merged")(torch.arange(20, 50)[None]).logits[0]
    torch.testing.assert_close(merged, peft_logits(base, adapter), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [{"init_lora_weights": "pissa"}, {"alpha_pattern": {"q_proj": 32}}, {"use_dora": True}],
    ids=str,
)
def test_what_merged_weights_would_not_compute_is_not_written(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused by its config; and were it not, then by PEFT's own forward."""
    base = write_model(tmp_path / "base")
    adapter = save_foreign(base, tmp_path / "adapter", **settings)
    with pytest.raises(UserError, match=next(iter(settings))):
        merge(base, adapter, tmp_path / "merged")
    monkeypatch.setattr("flowdpo_pl.model.adapter_config.REFUSED", {})
    monkeypatch.setattr("flowdpo_pl.model.adapter_config._off", lambda name, value: True)
    by_logits = "merged weights give other logits than PEFT does|does not fit agent"
    with pytest.raises(UserError, match=rf"{by_logits}|holds .*lora_magnitude_vector"):
        merge(base, adapter, tmp_path / "merged")

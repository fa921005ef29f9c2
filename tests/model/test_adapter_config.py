"""Adapters of other programs compute here what they compute in PEFT, or are refused by the setting's name."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.adapter_config import HARMLESS, HONOURED, REFUSED, adapter_config
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.attention import TreeView
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings
from tests.foreign_adapters import TOKENS, peft_logits, save_foreign
from tests.models import write_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base"))


def our_logits(base: Path, adapter: Path) -> torch.Tensor:
    agents = Agents(
        BaseModel(str(base), dtype="float32").load()[0], ["reader"], LoraSettings.of_saved(adapter)
    )
    agents.load_saved("reader", adapter)
    agents.eval()
    positions = torch.arange(TOKENS.shape[1])[None]
    nothing = torch.zeros_like(TOKENS)
    with torch.no_grad(), agents.acting_as("reader"):
        hidden = agents.hidden(TOKENS, positions, TreeView(positions, nothing, nothing))[0]
        return agents.head(()).logits(hidden)


def rewritten(folder: Path, **settings: Any) -> Path:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    return folder


def test_every_setting_of_the_installed_peft_is_known_to_be_one_of_three_kinds() -> None:
    """A new one fails here: say what it changes."""
    names = {field.name for field in fields(LoraConfig)}
    assert names <= HONOURED | HARMLESS.keys() | REFUSED.keys()
    assert len(HONOURED) + len(HARMLESS) + len(REFUSED) == len(HONOURED | HARMLESS.keys() | REFUSED.keys())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"use_rslora": True, "r": 3, "lora_alpha": 5},
        {"target_modules": r".*\.(q|down)_proj"},
        {"target_modules": "all-linear", "lora_dropout": 0.5},
        {"init_lora_weights": "gaussian"},
        {"init_lora_weights": "orthogonal"},
        {"init_lora_weights": False},
    ],
    ids=str,
)
def test_what_is_taken_computes_what_peft_computes(
    settings: dict[str, Any], base: Path, tmp_path: Path
) -> None:
    adapter = save_foreign(base, tmp_path, **settings)
    torch.testing.assert_close(our_logits(base, adapter), peft_logits(base, adapter), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("named", "settings"),
    [
        ("alpha_pattern", {"alpha_pattern": {"q_proj": 32}}),
        ("rank_pattern", {"rank_pattern": {"v_proj": 2}}),
        ("init_lora_weights", {"init_lora_weights": "pissa"}),
        ("init_lora_weights", {"init_lora_weights": "pissa_niter_4"}),
        ("init_lora_weights", {"init_lora_weights": "olora"}),
        ("use_dora", {"use_dora": True}),
        ("lora_bias", {"lora_bias": True}),
        ("bias", {"bias": "all"}),
        ("modules_to_save", {"modules_to_save": ["lm_head"]}),
        ("layers_to_transform", {"layers_to_transform": [0]}),
        ("exclude_modules", {"exclude_modules": r".*\.0\..*"}),
        ("trainable_token_indices", {"trainable_token_indices": [20, 21]}),
        ("layer_replication", {"layer_replication": [(0, 2), (1, 2)]}),
        ("lm_head", {"target_modules": ["q_proj", "lm_head"]}),
        ("embed_tokens", {"target_modules": ["q_proj", "embed_tokens"]}),
    ],
    ids=str,
)
def test_what_peft_computes_otherwise_is_refused_by_name(
    named: str, settings: dict[str, Any], base: Path, tmp_path: Path
) -> None:
    adapter = save_foreign(base, tmp_path, **settings)
    with pytest.raises(UserError, match=named):
        our_logits(base, adapter)


ON = {
    "bias": "lora_only",
    "init_lora_weights": "corda",
    "fan_in_fan_out": True,
    "use_qalora": True,
    "target_parameters": ["mlp.experts.down_proj"],
    "alora_invocation_tokens": [5],
    "megatron_config": {"x": 1},
    "of_a_later_version": {"gate": 1},
}


@pytest.mark.parametrize("name", [*REFUSED, "of_a_later_version"])
def test_a_setting_that_changes_the_adapter_is_refused_when_it_is_on_and_taken_when_it_is_off(
    name: str, tmp_path: Path
) -> None:
    LoraSettings(target_modules=["q_proj"]).peft_config().save_pretrained(str(tmp_path))
    off: Any = {"bias": "none", "init_lora_weights": True}.get(name)
    for value in (off, {} if off is None else off):
        adapter_config(rewritten(tmp_path, **{name: value}))
    with pytest.raises(UserError, match=rf"has {name} .*which is not supported \(.+\): (merge|save) it"):
        adapter_config(rewritten(tmp_path, **{name: ON.get(name, {"q_proj": 2})}))


def test_a_later_peft_s_default_is_plain_lora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LoraSettings(target_modules=["q_proj"]).peft_config().save_pretrained(str(tmp_path))
    older = {
        name: why for name, why in HARMLESS.items() if name not in ("qalora_group_size", "megatron_core")
    }
    monkeypatch.setattr("flowdpo_pl.model.adapter_config.HARMLESS", older)
    adapter_config(tmp_path)  # these two have defaults that are not empty
    with pytest.raises(UserError, match="has qalora_group_size 8"):
        adapter_config(rewritten(tmp_path, qalora_group_size=8))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"peft_type": "ADALORA"}, "is of peft_type ADALORA: give one of LORA"),
        ({"peft_type": None}, "is of peft_type None"),
        ({"task_type": "SEQ_CLS"}, "task_type SEQ_CLS"),
        ({"target_modules": None}, "does not say target_modules"),
        ({"r": None}, "does not say r"),
        ({"target_modules": 5}, "target_modules that are no names"),
        ({"target_modules": ["q_proj", 1]}, "target_modules that are no names"),
        ({"r": "8"}, "can't be used"),
        ({"r": 0}, r"can't be used: r is 0: give at least 1"),
        ({"lora_alpha": -8}, r"can't be used: alpha is -8: give more than 0"),
        ({"lora_dropout": 1.0}, r"can't be used: dropout is 1\.0"),
    ],
)
def test_configs_of_no_plain_lora_are_one_sentence(
    settings: dict[str, Any], told: str, tmp_path: Path
) -> None:
    LoraSettings(target_modules=["q_proj"]).peft_config().save_pretrained(str(tmp_path))
    with pytest.raises(UserError, match=told):
        LoraSettings.of_saved(rewritten(tmp_path, **settings))


@pytest.mark.parametrize("text", ["", "[]", "{not json"])
def test_a_file_that_is_no_config_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(UserError, match="is no config of an adapter"):
        adapter_config(tmp_path)


def test_rslora_is_saved_again_as_the_plain_lora_that_it_is(base: Path, tmp_path: Path) -> None:
    adapter = save_foreign(base, tmp_path / "foreign", use_rslora=True, r=3, lora_alpha=5)
    shape = LoraSettings.of_saved(adapter)
    assert shape.alpha == pytest.approx(5 * math.sqrt(3))
    agents = Agents(BaseModel(str(base), dtype="float32").load()[0], ["reader"], shape)
    agents.load_saved("reader", adapter)
    agents.save(tmp_path / "ours")
    ours = peft_logits(base, tmp_path / "ours" / "reader")
    torch.testing.assert_close(ours, peft_logits(base, adapter), atol=1e-4, rtol=1e-4)

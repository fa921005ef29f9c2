"""The adapters' shape in our words and in PEFT's; loading into agents is tested in test_agents.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import save_file

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings, adapter_fingerprint, saved_weights
from tests.models import write_model


def test_settings_are_read_back_from_what_peft_saves(tmp_path: Path) -> None:
    settings = LoraSettings(r=3, alpha=12, dropout=0.25, target_modules=["q_proj", "up_proj"])
    settings.peft_config().save_pretrained(str(tmp_path))
    assert LoraSettings.of_saved(tmp_path) == settings


def test_the_defaults_are_those_of_the_paper_and_all_linear_is_peft_s_word() -> None:
    config = LoraSettings().peft_config()
    assert isinstance(config, LoraConfig)
    assert (config.r, config.lora_alpha, config.lora_dropout) == (8, 8, 0.05)
    assert config.target_modules == "all-linear" and config.task_type == "CAUSAL_LM"
    assert not config.use_rslora and config.bias == "none"


def test_weights_are_read_and_their_fingerprint_is_theirs_alone(tmp_path: Path) -> None:
    for name, value in (("one", 1.0), ("two", 2.0)):
        (tmp_path / name).mkdir()
        save_file({"lora_A.weight": torch.full((2, 3), value)}, tmp_path / name / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
        (tmp_path / name / "adapter_config.json").write_text(json.dumps(config))
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    assert saved_weights(tmp_path / "two")["lora_A.weight"].tolist() == [[2.0] * 3] * 2
    assert adapter_fingerprint(tmp_path / "one") == adapter_fingerprint(tmp_path / "copy")
    assert adapter_fingerprint(tmp_path / "one") != adapter_fingerprint(tmp_path / "two")
    (tmp_path / "copy" / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 8}))
    assert adapter_fingerprint(tmp_path / "one") != adapter_fingerprint(tmp_path / "copy")


def test_a_truncated_file_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "adapter_model.safetensors"
    save_file({"lora_A.weight": torch.ones(2, 3)}, file)
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"adapter_model\.safetensors can't be read"):
        saved_weights(tmp_path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    save_file({"lora_A.weight": torch.tensor([[1.0, torch.nan]])}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"is not finite at lora_A\.weight: give an earlier one"):
        saved_weights(tmp_path)


@pytest.mark.parametrize("modules", [["q_proj", "lm_head"], ["embed_tokens"], ["nowhere"], []], ids=str)
def test_layers_that_cannot_be_adapted_are_refused(modules: list[str], tmp_path: Path) -> None:
    model, _ = BaseModel(str(write_model(tmp_path)), dtype="float32").load()
    with pytest.raises(UserError, match=r"lora\.target_modules"):
        Agents(model, ("answer",), LoraSettings(target_modules=modules))


def test_a_folder_without_an_adapter_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no adapter: it has no adapter_config\.json"):
        LoraSettings.of_saved(tmp_path)
    with pytest.raises(UserError, match=r"holds no adapter: it has no adapter_model\.safetensors"):
        saved_weights(tmp_path)

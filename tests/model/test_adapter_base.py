"""An adapter is compared with the base that it names, where both can be read."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings
from tests.foreign_adapters import save_foreign
from tests.models import write_model


def loaded(base: Path, adapter: Path) -> Agents:
    agents = Agents(
        BaseModel(str(base), dtype="float32").load()[0], ["reader"], LoraSettings.of_saved(adapter)
    )
    agents.load_saved("reader", adapter)
    return agents


def test_the_same_weights_elsewhere_or_in_another_type_are_taken_without_a_word(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    adapter = save_foreign(base, tmp_path / "adapter")
    copy = write_model(tmp_path / "copy")
    half = write_model(tmp_path / "half")
    AutoModelForCausalLM.from_pretrained(base).to(torch.bfloat16).save_pretrained(half)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*can't be compared")
        for other in (base, copy, half, Path(os.path.relpath(base))):
            loaded(other, adapter)


def test_other_weights_of_the_same_shape_are_refused(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    adapter = save_foreign(base, tmp_path / "adapter")
    with pytest.raises(UserError, match="whose weights are not those of the base"):
        loaded(write_model(tmp_path / "other", seed=1), adapter)
    model = AutoModelForCausalLM.from_pretrained(base)  # as a merge leaves it: embeddings stay
    with torch.no_grad():
        model.model.layers[1].self_attn.q_proj.weight += 0.1
    merged = write_model(tmp_path / "merged")
    model.save_pretrained(merged)
    with pytest.raises(UserError, match="whose weights are not those of the base"):
        loaded(merged, adapter)


def test_whole_numbers_of_an_eight_bit_layer_are_not_compared(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    adapter = save_foreign(base, tmp_path / "adapter")
    model, _ = BaseModel(str(write_model(tmp_path / "copy")), dtype="float32", quantization="int8").load()
    Agents(model, ["reader"], LoraSettings.of_saved(adapter)).load_saved("reader", adapter)


def test_a_base_that_is_not_here_is_told(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base")
    adapter = save_foreign(base, tmp_path / "adapter")
    file = adapter / "adapter_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "base_model_name_or_path": "somebody/elsewhere"}))
    with pytest.warns(UserWarning, match=r"trained on somebody/elsewhere, which can't be compared"):
        loaded(base, adapter)
    file.write_text(json.dumps({**config, "base_model_name_or_path": None}))
    loaded(base, adapter)

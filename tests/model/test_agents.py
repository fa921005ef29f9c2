"""Exactly one acts; and what was saved plays the same when it is loaded, and nothing else is taken.

Also tests `model.acting`: each mode against stock PEFT.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.attention import TreeView
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.dropout import salted
from flowdpo_pl.model.lora import LoraSettings
from tests.conftest import World
from tests.models import write_model

LORA = LoraSettings(r=4, alpha=8, dropout=0.0)


def trained(base: Path, lora: LoraSettings = LORA) -> Agents:
    model, _ = BaseModel(str(base), dtype="float32").load()
    agents = Agents(model, ("answer", "stop"), lora)
    with torch.no_grad():
        for number, parameter in enumerate(p for name in agents.names for p in agents.parameters_of(name)):
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter) / (number + 1))
    return agents


def test_a_saved_adapter_is_loaded_under_any_name(tmp_path: Path) -> None:
    agents = trained(write_model(tmp_path / "base"))
    agents.save(tmp_path / "adapters")
    assert LoraSettings.of_saved(tmp_path / "adapters" / "stop").r == LORA.r
    model, _ = BaseModel(str(tmp_path / "base"), dtype="float32").load()
    other = Agents(model, ("reader",), LoraSettings.of_saved(tmp_path / "adapters" / "stop"))
    other.load_saved("reader", tmp_path / "adapters" / "stop")
    for loaded, saved in zip(other.parameters_of("reader"), agents.parameters_of("stop"), strict=True):
        assert torch.equal(loaded, saved)


def test_a_saved_config_names_its_modules_in_one_order_in_every_process(tmp_path: Path) -> None:
    trained(write_model(tmp_path / "base")).save(tmp_path / "adapters")
    modules = json.loads((tmp_path / "adapters/stop/adapter_config.json").read_text())["target_modules"]
    assert modules == sorted(modules) and len(modules) > 5


def test_an_adapter_of_another_shape_is_refused(tmp_path: Path) -> None:
    agents = trained(write_model(tmp_path / "base"))
    agents.save(tmp_path / "adapters")
    other = trained(tmp_path / "base", LoraSettings(r=2))
    with pytest.raises(UserError, match="does not fit agent 'answer'"):
        other.load_saved("answer", tmp_path / "adapters" / "answer")
    with pytest.raises(UserError, match="holds no adapter"):
        other.load_saved("answer", tmp_path)
    with pytest.raises(UserError, match="holds no adapter"):
        LoraSettings.of_saved(tmp_path)


def test_an_adapter_with_missing_or_further_weights_is_refused(tmp_path: Path) -> None:
    agents = trained(write_model(tmp_path / "base"))
    agents.save(tmp_path)
    file = tmp_path / "answer" / "adapter_model.safetensors"
    weights = load_file(file)
    name = sorted(weights)[0]
    save_file({**weights, "base_model.model.model.embed_tokens.weight": torch.ones(2, 2)}, file)
    with pytest.raises(
        UserError, match=r"holds base_model\.model\.model\.embed_tokens\.weight, which agent .* lacks"
    ):
        agents.load_saved("stop", tmp_path / "answer")
    save_file({key: value for key, value in weights.items() if key != name}, file)
    with pytest.raises(UserError, match="does not fit agent 'stop' at base_model"):
        agents.load_saved("stop", tmp_path / "answer")


@pytest.mark.parametrize(
    "name", ["layers", "q_proj", "model", "default", "lora", "lora_A", "weight", "update", "keys"]
)
def test_an_agent_whose_weights_would_be_saved_under_other_names_is_refused(
    name: str, tmp_path: Path
) -> None:
    model, _ = BaseModel(str(write_model(tmp_path)), dtype="float32").load()
    with pytest.raises(UserError, match=f"no agent can be called '{name}'"):
        Agents(model, ("answer", name), LORA)


def test_an_adapter_of_another_scale_is_refused(tmp_path: Path) -> None:
    trained(write_model(tmp_path / "base")).save(tmp_path / "adapters")
    other = trained(tmp_path / "base", LoraSettings(r=4, alpha=4))
    with pytest.raises(
        UserError, match=r"has alpha 8 and agent 'answer' another: set model.team.lora.alpha to 8"
    ):
        other.load_saved("answer", tmp_path / "adapters" / "answer")


def test_a_frozen_start_stays_the_reference_while_the_adapter_moves(tmp_path: Path) -> None:
    agents = trained(write_model(tmp_path / "base"))
    agents.eval()
    tokens = torch.arange(20, 40)[None]
    positions = torch.arange(20)[None]
    view = TreeView(positions, torch.zeros_like(tokens), torch.zeros_like(tokens))

    def hidden() -> torch.Tensor:
        return agents.hidden(tokens, positions, view).detach()

    with agents.reference("answer"):
        base = hidden()
    with agents.acting_as("answer"):
        start = hidden()
    names = [name for name, _ in agents.peft.named_parameters()]
    assert agents.reference_name == "base"
    agents.freeze_reference()
    with torch.no_grad():
        agents.parameters_of("answer")[0].add_(1.0)
    with agents.reference("answer"):
        assert torch.equal(hidden(), start) and not torch.equal(start, base)
    with agents.acting_as("answer"):
        assert not torch.equal(hidden(), start)
    assert agents.reference_name.startswith("initial adapters ")
    assert [name for name, _ in agents.peft.named_parameters()] == names
    agents.save(tmp_path / "adapters")
    assert {path.name for path in (tmp_path / "adapters").iterdir()} == {"answer", "stop"}


def test_who_acts_is_peft_s_adapter_in_every_mode_and_nobody_outside(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    ids = [7, 20, 21, 22, 30]
    tokens, positions = torch.tensor([ids]), torch.arange(len(ids))[None]
    view = TreeView(positions, torch.zeros_like(tokens), torch.zeros_like(tokens))

    def shows(agent: str | None) -> None:
        hidden = world.agents.hidden(tokens, positions, view)[0]
        logits = world.head.logits(hidden)
        torch.testing.assert_close(logits, world.plain.logits(agent, ids), atol=1e-4, rtol=1e-4)
        assert hidden.requires_grad == (agent is not None and not torch.is_inference_mode_enabled())

    shows(None)
    for agent in world.agents.names:
        with world.agents.acting_as(agent):
            shows(agent)
            with world.agents.reference(agent):
                shows(None)
            shows(agent)  # a mode inside leaves the one outside as it was
        with world.agents.decoding_as(agent):
            shows(agent)
        shows(None)
    with pytest.raises(KeyError), world.agents.acting_as("answer"):
        raise KeyError
    shows(None)


def test_dropout_is_the_learner_s_alone(tmp_path: Path) -> None:
    agents = trained(write_model(tmp_path / "base"), LoraSettings(r=4, alpha=8, dropout=0.5))
    agents.freeze_reference()
    agents.train()
    tokens, positions = torch.arange(20, 40)[None], torch.arange(20)[None]
    view = TreeView(positions, torch.zeros_like(tokens), torch.zeros_like(tokens))

    def hidden(*keys: int, mode: bool = True) -> Tensor:
        agents.train(mode)
        with agents.acting_as("answer", *(salted(tokens, key) for key in keys)):
            return agents.hidden(tokens, positions, view)

    assert torch.equal(hidden(1), hidden(1)) and not torch.equal(hidden(1), hidden(2))
    assert not torch.equal(hidden(1), hidden()) and torch.equal(hidden(1, mode=False), hidden())


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_the_head_gives_the_model_s_logits(family: str, make_world: Callable[..., World]) -> None:
    world = make_world(family)
    hidden = torch.randn(3, world.agents.config.hidden_size)
    head = world.agents.head([2, 3])
    logits = world.agents.base.get_output_embeddings()(hidden)
    if family == "gemma2":
        logits = 5 * torch.tanh(logits / 5)
    torch.testing.assert_close(head.logits(hidden), logits)
    assert head.end_ids == (2, 3)

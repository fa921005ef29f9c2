"""A base's shape from its config alone. Also tests `plan.reading_matter`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.plan.outline import outline
from flowdpo_pl.plan.reading_matter import reading_matter
from flowdpo_pl.play.agent_prompt import AgentPrompt
from flowdpo_pl.play.flows.answer_stop import AnswerStopFlow
from flowdpo_pl.play.team import Team
from tests.models import write_model


@pytest.mark.parametrize("family", ["llama", "qwen3", "phi3", "gemma3_text"])
def test_the_outline_is_what_is_loaded(family: str, tmp_path: Path) -> None:
    write_model(tmp_path, family)
    base = BaseModel(str(tmp_path), dtype="float32", compare_weights=False)
    found = outline(base, LoraSettings(r=2))
    team = Team(base, {"answer": AgentPrompt("{question}")}, lora=LoraSettings(r=2, alpha=2))
    agents = team.load_writer(0).agents
    adapters = sum(p.numel() for p in agents.parameters_of("answer"))
    assert found.adapter_parameters(2) == adapters
    own = sum(p.numel() for name, p in agents.base.named_parameters() if ".lora_" not in name)
    assert found.parameters == own
    assert found.cache_bytes(1) == sum(c.heads * (c.key_size + c.value_size) for c in agents.caches)
    assert found.vocabulary == agents.head((0,)).weight.shape[0]
    assert torch.get_default_dtype() == torch.float32


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json"):
        outline(BaseModel("none"), LoraSettings(), tmp_path)


def test_without_tokenizer_and_data_the_assumption_is_said() -> None:
    matter = reading_matter("none/here", AnswerStopFlow(), {"answer": AgentPrompt("Solve: {question}")}, None)
    assert matter.count is None and "70 tokens" in matter.assumed
    assert sum(matter.typical["answer"].tokens) < sum(matter.longest["answer"].tokens)

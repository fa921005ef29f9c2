"""A base's shape from its config alone. Also tests `plan.reading_matter`."""

from __future__ import annotations

import json
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


def test_a_base_with_code_of_its_own_is_refused_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers asks on the terminal whether to run it, where nothing says so."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: ...\n")
    auto_map = {"AutoTokenizer": ["evil.Evil", None], "AutoConfig": "evil.Evil"}
    for name in ("config.json", "tokenizer_config.json"):
        settings = {"model_type": "evil", "tokenizer_class": "Evil", "auto_map": auto_map}
        (tmp_path / name).write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"the tokenizer of .* can't be read: "):
        reading_matter(str(tmp_path), AnswerStopFlow(), {}, None)
    with pytest.raises(UserError):
        outline(BaseModel(str(tmp_path)), LoraSettings())
    assert not (tmp_path / "ran").exists()

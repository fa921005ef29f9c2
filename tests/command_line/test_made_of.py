"""What a run's config says at a place is made with names and types checked, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from flowdpo_pl.command_line.made_of import made_of
from flowdpo_pl.errors import UserError
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.play.agent_prompt import AgentPrompt


def test_what_a_config_says_is_made() -> None:
    base = made_of(BaseModel, {"path": "true", "dtype": "float16", "quantization": None}, "it")
    assert base == BaseModel("true", dtype="float16")
    said = {"user": "{question}", "options": ["a", "b"], "template_arguments": {"a": {"b": 1}}}
    prompt = made_of(AgentPrompt, said, "it")
    assert prompt == AgentPrompt("{question}", "", ("a", "b"), {"a": {"b": 1}})


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        (BaseModel, {"path": "x", "colour": 1}, "colour"),
        (BaseModel, {"path": "x", "dtype": "float99"}, "float99"),
        (BaseModel, {"path": ["x"]}, "path"),
        (BaseModel, {"path": "x", "trust_remote_code": "perhaps"}, "trust_remote_code"),
        (BaseModel, {}, "path"),
        (BaseModel, {1: 2}, "1"),
        (AgentPrompt, {"user": 5}, "user"),
        (AgentPrompt, {"user": "hello"}, "hello"),
        (AgentPrompt, {"user": "{question}", "options": "ab"}, "options"),
        (AgentPrompt, "{question}", "no settings"),
    ],
)
def test_another_name_or_type_is_one_sentence(kind: Any, values: Any, told: str) -> None:
    with pytest.raises(UserError, match=r"^the base of runs/one .*: mend the run's config\.$") as caught:
        made_of(kind, values, "the base of runs/one")
    assert told in str(caught.value) and "\n" not in str(caught.value)

"""A run's prompts as its tokenizer and chat template render them; no weights are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowdpo_pl.model.base import BaseModel
    from flowdpo_pl.play.flow import Flow
    from flowdpo_pl.play.prompts import PromptBook


def bound_prompts(flow: Flow, prompts: Mapping[str, Any], base: BaseModel, folder: Path) -> PromptBook:
    """
    Args:
        flow: whose prompts.
        prompts: by agent, as a config has them.
        base: whose tokenizer is read.
        folder: of the run, for messages.

    Raises:
        UserError: a prompt is none.
    """
    from flowdpo_pl.command_line.made_of import made_of
    from flowdpo_pl.play.agent_prompt import AgentPrompt
    from flowdpo_pl.play.prompts import PromptBook

    agents = {
        agent: made_of(AgentPrompt, prompt, f"the prompt of '{agent}' of {folder}")
        for agent, prompt in prompts.items()
        if agent in flow.agents
    }
    tokenizer, ends = base.load_tokenizer()
    return PromptBook(flow, agents, tokenizer, ends)

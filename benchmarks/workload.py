"""The work that the benchmarks share: a real model with active adapters on real word problems."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.modules.flow_dpo_module import FlowDPOModule
from flowdpo_pl.play.flows.answer_stop import AnswerStopFlow
from flowdpo_pl.play.prompts import AgentPrompt
from flowdpo_pl.play.team import Budget, Team
from flowdpo_pl.types import Problem

CONFIG = Path("configs/smollm2/flow_dpo.yaml")


@dataclass(frozen=True)
class Workload:
    """What is played, on what."""

    model: str = "models/smollm2"
    """Folder of the base model (`make smollm2` writes it)."""
    data: str = "quickstart/word_problems/train.jsonl"
    """Problems as jsonl with `id`, `question`, `answer`."""
    problems: int = 32
    chunk_tokens: int = 32
    """Tokens of an answer chunk."""
    max_chunks: int = 4
    dtype: str = "bfloat16"
    threads: int = 2
    """Of torch."""

    def read(self) -> list[Problem]:
        """The first problems of the file."""
        with open(self.data, encoding="utf-8") as lines:
            rows = [json.loads(line) for _, line in zip(range(self.problems), lines, strict=False)]
        return [Problem(row["id"], row["question"], row["answer"]) for row in rows]

    def module(self, budget: Budget | None = None) -> FlowDPOModule:
        """A module with adapters that are active (B is not zero) and leave the model sensible."""
        torch.set_num_threads(self.threads)
        module = FlowDPOModule(
            Team(
                BaseModel(self.model, dtype=self.dtype),  # type: ignore[arg-type]
                prompts(),
                AnswerStopFlow(self.chunk_tokens, self.max_chunks),
                budget=budget or Budget(),
            )
        )
        activate(module.players.agents)
        return module


def activate(agents: Agents) -> None:
    """Give every B matrix small random numbers: the same each time, and on each device its own."""
    torch.manual_seed(0)
    for name in agents.names:
        for parameter in agents.parameters_of(name)[1::2]:
            parameter.data.normal_(std=0.01)


def prompts() -> dict[str, AgentPrompt]:
    """The prompts of the SmolLM2 config."""
    written = yaml.safe_load(CONFIG.read_text())["model"]["init_args"]["team"]["prompts"]
    return {
        agent: AgentPrompt(**{**prompt, "options": tuple(prompt.get("options", ()))})
        for agent, prompt in written.items()
    }

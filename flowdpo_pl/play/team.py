"""The agents, ready to play: base, adapters, prompts and flow, checked against each other once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.base import BaseModel, end_token_ids, fingerprint
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.model.output_head import OutputHead
from flowdpo_pl.play.flow import Flow
from flowdpo_pl.play.prompts import AgentPrompt, PromptBook
from flowdpo_pl.types import Agent, Problem


@dataclass(frozen=True)
class Team:
    """Who plays by which rules with which prompts."""

    agents: Agents
    prompts: PromptBook
    flow: Flow
    lora: LoraSettings

    @staticmethod
    def assemble(
        base: BaseModel,
        lora: LoraSettings,
        flow: Flow,
        prompts: Mapping[Agent, AgentPrompt],
        seed: int,
        activation_checkpointing: bool = False,
        compile_decoding: bool = False,
        initial_adapters: Mapping[Agent, str] | None = None,
        reference: Literal["base", "initial"] = "base",
    ) -> Team:
        """Load the base, add an adapter per agent, bind the prompts.

        Adapters start at zero or, by agent, as what `initial_adapters` holds in PEFT's format; with the
        reference `initial` a frozen copy of that start is what the agents are compared with.

        Raises:
            UserError: a prompt is missing, a option word is no single token, the longest answer leaves
                no room for a question in the model's context, or an initial adapter does not fit.
        """
        initial = {agent: Path(folder) for agent, folder in (initial_adapters or {}).items()}
        if unknown := sorted(initial.keys() - set(flow.agents)):
            raise UserError(
                f"model.initial_adapters names '{unknown[0]}', but the flow's agents are {list(flow.agents)}."
            )
        if reference == "initial" and not initial:
            raise UserError(
                "model.reference is 'initial' without model.initial_adapters: name their folders by agent, "
                "or compare with the base."
            )
        if missing := [agent for agent in flow.agents if agent not in prompts]:
            raise UserError(f"no prompt for agent '{missing[0]}': set model.prompts.{missing[0]}.")
        model, tokenizer = base.load()
        book = PromptBook(
            {agent: prompts[agent] for agent in flow.agents}, tokenizer, end_token_ids(model, tokenizer)
        )
        agents = Agents(model, flow.agents, lora, seed, activation_checkpointing)
        if compile_decoding:
            agents.compile_decoding()
        for agent, folder in initial.items():
            agents.load_saved(agent, folder)
        if reference == "initial":
            agents.freeze_reference()
        team = Team(agents, book, flow, lora)
        team._check_room()
        return team

    @cached_property
    def head(self) -> OutputHead:
        agents = self.agents
        return OutputHead(agents.head_weight, agents.head_bias, agents.head_softcap, self.prompts.end_ids)

    def admit(self, problem: Problem) -> str | None:
        """Why the problem can't be played, or None: its longest context must fit the model's."""
        longest = self.prompts.longest(problem, self.flow.max_written_tokens)
        return "too long" if longest > self.agents.context_limit else None

    def identity(self) -> dict[str, Any]:
        """What weights of this team belong to, JSON-able; crews of equal identity are exchangeable."""
        return {
            "base": fingerprint(self.agents.base),
            "flow": {"class": type(self.flow).__name__, **asdict(self.flow)},  # type: ignore[call-overload]
            "lora": asdict(self.lora),
            "prompts": self.prompts.identity(),
            "reference": self.agents.reference_name,
        }

    def _check_room(self) -> None:
        empty = Problem(id="", question="", gold="")
        needed, limit = self.prompts.longest(empty, self.flow.max_written_tokens), self.agents.context_limit
        if needed >= limit:
            raise UserError(
                f"the flow needs {needed} tokens beside the question but the model's context is {limit}: "
                "set fewer or shorter chunks."
            )


def require_same_identity(saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse weights that belong to something else, saying what differs."""
    differing = sorted(name for name in own if saved.get(name) != own[name])
    if differing:
        name = differing[0]
        raise UserError(
            f"the checkpoint belongs to another {name}: it has {saved.get(name)}, this run has {own[name]}; "
            f"use the {name} it was made with, or start anew."
        )

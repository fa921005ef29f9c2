"""What is loaded for a run: one base, an adapter and a prompt an agent, the rules they play by."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch

from flowdpo_pl.errors import COUNT, LIMIT, UserError, require_within
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.base import BaseModel, end_token_ids
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.model.product_rates import slower_dtype
from flowdpo_pl.model.targets import what_is_left_out
from flowdpo_pl.play.engines.agreement import require_twin_agrees, require_weights_agree
from flowdpo_pl.play.engines.engine_settings import EngineSettings, Native
from flowdpo_pl.play.flow import Flow
from flowdpo_pl.play.flows.answer_stop import AnswerStopFlow
from flowdpo_pl.play.players import Players
from flowdpo_pl.play.prompts import AgentPrompt, PromptBook
from flowdpo_pl.types import Agent

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """Where the agents begin, and what they are compared with."""

    adapters: dict[str, str] = field(default_factory=dict)
    """Folders of adapters in PEFT's format, by agent; agents not named begin as the base."""
    reference: Literal["base", "initial"] | dict[str, str] = "base"
    """What the agents are compared with: `base`, alone; `initial`, a frozen copy of these adapters; or other
    adapters' folders, by agent (agents not named are compared with the base)."""

    def is_reference(self, agent: Agent) -> bool:
        """Whether the agent begins as what it is compared with."""
        if self.reference == "initial":
            return True
        named = self.reference if isinstance(self.reference, dict) else {}
        return self.adapters.get(agent) == named.get(agent)

    def frozen(self, agents: Sequence[Agent]) -> int:
        """How many of these agents have a frozen adapter as their reference."""
        if isinstance(self.reference, dict):
            return len(self.reference)
        return len(agents) if self.reference == "initial" else 0


@dataclass(frozen=True)
class Budget:
    """How the machine is used; no draw and no result depends on it, rounding aside."""

    decode_tokens: int = 65_536
    """Cached tokens (rows times length) of one decoding micro-batch; out of memory halves it."""
    update_tokens: int = 4096
    """Packed tokens of one scoring micro-batch; a tree is never split; out of memory halves it."""
    activation_checkpointing: bool = False
    """Compute activations again in the update (less memory, a third slower)."""
    compile_decoding: bool = False
    """Compile the decoder for play; for GPUs, where it takes a minute at the start."""
    cpu_threads: int | None = None
    """Threads of torch on a CPU; null: one a core. Tiny models are fastest on 1."""

    def __post_init__(self) -> None:
        require_within(COUNT, {"decode_tokens": self.decode_tokens, "update_tokens": self.update_tokens})
        require_within(LIMIT, {"cpu_threads": self.cpu_threads})


@dataclass(frozen=True)
class Team:
    """The recipe of a team; nothing is loaded yet."""

    base: BaseModel
    """The frozen model that all agents and the reference share."""
    prompts: dict[str, AgentPrompt]
    """Each agent's prompt, by the flow's names of agents."""
    flow: Flow = field(default_factory=AnswerStopFlow)
    """The rules: whose turn, when over; flowdpo_pl.SingleFlow is one model that writes in one go."""
    lora: LoraSettings = field(default_factory=LoraSettings)
    """Shape of every agent's adapter."""
    without_adapter: tuple[Agent, ...] = ()
    """Agents that have none: they play the base and never learn."""
    start: Start = field(default_factory=Start)
    budget: Budget = field(default_factory=Budget)
    engine: EngineSettings = field(default_factory=Native)
    """Who decodes: Native, on the trainer's device; VLLM, servers; LocalVLLM, one started for the run."""

    def __post_init__(self) -> None:
        self.flow.require_sound()
        self.flow.require_known("model.team.start.adapters", self.start.adapters)
        self.flow.require_known("model.team.without_adapter", self.without_adapter)
        if both := sorted(set(self.without_adapter) & set(self.start.adapters)):
            raise UserError(
                f"model.team.without_adapter names '{both[0]}', which model.team.start.adapters gives one: "
                "take it out of either."
            )
        if not self.adapted:
            raise UserError(
                f"model.team.without_adapter names all of {list(self.flow.agents)}: leave one agent its "
                "adapter."
            )
        if isinstance(self.start.reference, dict):
            self._require_reference(self.start.reference)
        if self.start.reference == "initial" and not self.start.adapters:
            raise UserError(
                "model.team.start.reference is 'initial' without model.team.start.adapters: name their "
                "folders by agent, or compare with the base."
            )

    def _require_reference(self, adapters: dict[str, str]) -> None:
        self.flow.require_known("model.team.start.reference", adapters)
        if not adapters:
            raise UserError(
                "model.team.start.reference names no adapters: give their folders by agent, or base."
            )
        if without := sorted(set(self.without_adapter) & set(adapters)):
            raise UserError(
                f"model.team.start.reference names '{without[0]}', which has no adapter of its own "
                "(model.team.without_adapter) and never learns: take it out of either."
            )

    @property
    def adapted(self) -> tuple[Agent, ...]:
        """The agents that have an adapter."""
        return tuple(agent for agent in self.flow.agents if agent not in self.without_adapter)

    def shaped_by_start(self) -> Team:
        """The same team with adapters of the shape that its start has, for play alone: without dropout.

        Without a start, the adapters are as small as they can be, and do nothing.

        Raises:
            UserError: a folder holds no adapter, or the adapters have different shapes.
        """
        shapes = {
            agent: replace(LoraSettings.of_saved(Path(folder)), dropout=0.0)
            for agent, folder in self.start.adapters.items()
        }
        (first, shape), *others = shapes.items() or [("", LoraSettings(r=1, alpha=1, dropout=0.0))]
        for agent, other in others:
            if other != shape:
                raise UserError(
                    f"model.team.start.adapters.{first} and model.team.start.adapters.{agent} have other "
                    f"shapes ({shape} and {other}): give adapters of one run."
                )
        return replace(self, lora=shape)

    def load(self, seed: int) -> Players:
        """Load the base, add an adapter for every agent of the flow, bind the prompts.

        Args:
            seed: of the adapters' start.

        Raises:
            UserError: a prompt is missing, a word to choose is no single token, an adapter of the start does
                not fit, the longest answer leaves no room for a question in the model's context, or the model
                computes something that is not done here.
        """
        players = self._loaded(self.flow.agents, seed)
        players.prompts.require_words()
        players.require_room()
        if isinstance(self.start.reference, dict):
            for agent, folder in self.start.reference.items():
                players.agents.load_reference(agent, Path(folder))
        elif self.start.reference == "initial":
            players.agents.freeze_reference()
        return players

    def load_writer(self, seed: int) -> Players:
        """Load the agent alone who writes the answer, to learn from whole answers: it plays no flow."""
        return self._loaded([self.flow.writer], seed)

    def _loaded(self, agents: Sequence[Agent], seed: int) -> Players:
        if missing := [agent for agent in agents if agent not in self.prompts]:
            raise UserError(f"no prompt for agent '{missing[0]}': set model.team.prompts.{missing[0]}.")
        if self.budget.cpu_threads is not None:
            torch.set_num_threads(self.budget.cpu_threads)
        model, tokenizer = self.base.load()
        prompts = {agent: self.prompts[agent] for agent in agents}
        book = PromptBook(self.flow, prompts, tokenizer, end_token_ids(model, tokenizer))
        adapted = [agent for agent in agents if agent not in self.without_adapter]
        loaded = Agents(model, adapted, self.lora, seed, self.budget.activation_checkpointing)
        if left_out := what_is_left_out(model, self.lora, loaded.layer_names):
            _LOG.warning(left_out)
        if loaded.device.type == "cpu" and (slower := slower_dtype(self.base.dtype)):
            _LOG.warning(slower)
        require_twin_agrees(loaded, self.lora)
        if self.base.compare_weights:
            require_weights_agree(loaded)
        if self.budget.compile_decoding:
            loaded.compile_decoding()
        for agent, folder in self.start.adapters.items():
            if agent in agents:
                loaded.load_saved(agent, Path(folder))
        return Players(loaded, book, self.lora, self.budget.decode_tokens, self.engine)

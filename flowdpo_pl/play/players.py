"""A loaded team: agents with their weights and prompts, ready to play by the rules."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import UserError
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.base import fingerprint
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.model.output_head import OutputHead
from flowdpo_pl.play.engines.engine_settings import EngineSettings, Native, OpenEngine
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.flow import Flow
from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.play.rollouts import Judge, Rollouts
from flowdpo_pl.types import Problem


@dataclass(frozen=True)
class Players:
    """Who plays, with which prompts, by which rules."""

    agents: Agents
    prompts: PromptBook
    lora: LoraSettings
    """Shape of the agents' adapters."""
    decode_tokens: int
    """Cached tokens of one decoding micro-batch."""
    engine: EngineSettings = field(default_factory=Native)
    """What they play on."""

    @property
    def flow(self) -> Flow:
        return self.prompts.flow

    @cached_property
    def head(self) -> OutputHead:
        return self.agents.head(self.prompts.end_ids)

    def rollouts(self, sampling: Sampling, judge: Judge, draws: Draws) -> Rollouts:
        """What grows trees with these agents, on their engine."""
        return Rollouts(self.prompts, self.opened.engine(draws, sampling), judge, draws)

    @cached_property
    def opened(self) -> OpenEngine:
        """The engine, which all rollouts share."""
        return self.engine.open(self.agents, self.head, self.decode_tokens)

    def admit(self, problem: Problem) -> str | None:
        """Why the problem can't be played, or None: its longest context must fit the model's."""
        return "too long" if self.prompts.longest(problem) > self.opened.context_limit else None

    def require_room(self) -> None:
        """
        Raises:
            UserError: the longest answer leaves no room for a question.
        """
        empty = Problem(id="", question="", gold="")
        needed = self.prompts.longest(empty)
        if needed >= (limit := self.opened.context_limit):
            raise UserError(
                f"the flow needs {needed} tokens beside the question but the model's context is {limit}: "
                "set fewer or shorter chunks."
            )

    @cached_property
    def _base(self) -> str:
        return fingerprint(self.agents.base)

    def identity(self) -> dict[str, Any]:
        """What weights of these agents belong to, JSON-able; players of equal identity are exchangeable."""
        return {
            "base": self._base,
            "flow": {"class": type(self.flow).__name__, **asdict(self.flow)},  # type: ignore[call-overload]
            "lora": asdict(self.lora),
            "prompts": self.prompts.identity(),
            "reference": self.agents.reference_name,
        }

"""Which engine plays: what a config names as `model.team.engine`, and what it becomes with loaded agents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from flowdpo_pl.draws import Draws
from flowdpo_pl.play.engines.protocol import Engine
from flowdpo_pl.play.engines.sampling import Sampling

if TYPE_CHECKING:
    from flowdpo_pl.model.agents import Agents
    from flowdpo_pl.model.output_head import OutputHead


@dataclass(frozen=True)
class Tolerance:
    """How far an engine's log-probabilities may be from the trainer's, in nats a token of the pairs."""

    noise: float
    """What was seen where the two agree."""
    warns: float
    stops: float
    """Above it nothing is learnt from what was played."""


class OpenEngine(Protocol):
    """An engine with its agents; what it holds outlives single batches."""

    @property
    def context_limit(self) -> int:
        """Tokens of a context, at most."""
        ...

    @property
    def tolerance(self) -> Tolerance | None:
        """None: it plays this process's own weights, so that nothing need be compared."""
        ...

    def engine(self, draws: Draws, sampling: Sampling) -> Engine: ...

    def close(self) -> None:
        """Give back what is held outside this process; whoever plays again afterwards opens it anew."""
        ...


class EngineSettings(ABC):
    """What an engine is told; nothing is loaded or connected yet."""

    @abstractmethod
    def open(self, agents: Agents, head: OutputHead, decode_tokens: int) -> OpenEngine:
        """
        Args:
            agents: who plays.
            head: the base's output layer, which knows the end tokens.
            decode_tokens: `model.team.budget.decode_tokens`, for engines that decode on this device.
        """


@dataclass(frozen=True)
class Native(EngineSettings):
    """Our own engine, on the trainer's device."""

    def open(self, agents: Agents, head: OutputHead, decode_tokens: int) -> OpenEngine:
        from flowdpo_pl.play.engines.native import OpenNative

        return OpenNative(agents, head, decode_tokens)

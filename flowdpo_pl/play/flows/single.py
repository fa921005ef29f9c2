"""One agent that writes the whole answer in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from flowdpo_pl.errors import COUNT, require_within
from flowdpo_pl.play.flow import Flow, Turn, Write
from flowdpo_pl.play.flows.answer_stop import ANSWER
from flowdpo_pl.types import Agent, Move


@dataclass(frozen=True)
class SingleFlow(Flow):
    """One agent writes the whole answer in one go: the single model that flows are compared with."""

    max_tokens: int = 960
    """Tokens an answer has at most."""

    agents: ClassVar[tuple[Agent, ...]] = (ANSWER,)
    writer: ClassVar[Agent] = ANSWER

    def __post_init__(self) -> None:
        require_within(COUNT, {"max_tokens": self.max_tokens})

    def turn(self, moves: Sequence[Move]) -> Turn | None:
        return None if moves else Write(ANSWER, self.max_tokens)

"""Prompts of which only the lengths are known: contexts of unknown tokens, put together as real ones are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowdpo_pl.play.agent_prompt import Place
from flowdpo_pl.play.contexts import Contexts, Ids
from flowdpo_pl.play.flow import Flow
from flowdpo_pl.types import Agent, Move, Problem


@dataclass(frozen=True)
class PromptShape:
    """What an agent reads around what was said."""

    tokens: tuple[int, ...]
    """Before, between and behind the places: one number more than there are places."""
    spliced: tuple[Place, ...] = ()


class SketchedPrompts(Contexts):
    """Stands in for a `PromptBook` where lengths are all that counts."""

    def __init__(self, flow: Flow, shapes: Mapping[Agent, PromptShape]) -> None:
        super().__init__(flow)
        self._shapes = shapes
        self._around: dict[Agent, tuple[Ids, ...]] = {}
        first = 0
        for agent, shape in shapes.items():
            parts: list[Ids] = []
            for length in shape.tokens:
                first -= length
                parts.append(tuple(range(first, first + length)))
            self._around[agent] = tuple(parts)

    @property
    def agents(self) -> tuple[Agent, ...]:
        return tuple(self._shapes)

    def spliced(self, agent: Agent) -> tuple[Place, ...]:
        return self._shapes[agent].spliced

    def around(self, agent: Agent, problem: Problem) -> tuple[Ids, ...]:
        return self._around[agent]

    def ended(self, move: Move) -> bool:
        return False

    def options(self, agent: Agent) -> Sequence[int]:
        return range(self.flow.words.get(agent, 0))

"""Gives what some agents say to the wrong problem: an agent that matters is missed, a decoration is not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from flowdpo_pl.play.engines.protocol import ChooseRequest, Chosen, Engine, WriteRequest, Written
from flowdpo_pl.types import Agent

Result = TypeVar("Result", Written, Chosen)


@dataclass(frozen=True)
class SwappedEngine:
    """Plays as another engine does, but each move of the swapped agents is that of the next problem.

    Of main chains alone. A problem whose turn comes alone in a batch keeps its move.
    """

    engine: Engine
    swapped: tuple[Agent, ...]

    def write(self, requests: Sequence[WriteRequest]) -> list[Written]:
        return self._moved(requests, self.engine.write(requests))

    def choose(self, requests: Sequence[ChooseRequest]) -> list[Chosen]:
        return self._moved(requests, self.engine.choose(requests))

    def playing(self) -> AbstractContextManager[None]:
        return self.engine.playing()

    def _moved(self, requests: Sequence[WriteRequest | ChooseRequest], results: list[Result]) -> list[Result]:
        moved = list(results)
        for agent in self.swapped:
            places: list[int] = [place for place, request in enumerate(requests) if request.agent == agent]
            after = places[1:] + places[:1]
            for place, following in zip(places, after, strict=True):
                moved[place] = results[following]
        return moved

"""Tells what is played while it is played: whoever reads along hears of each move as soon as it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from flowdpo_pl.play.engines.protocol import ChooseRequest, Chosen, Engine, WriteRequest, Written
from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.types import Move

Told: TypeAlias = Callable[[Move], None]


@dataclass(frozen=True)
class ToldEngine:
    """Plays as another engine does, and tells each move of the main chains; a move is told whole."""

    engine: Engine
    prompts: PromptBook
    tell: Told

    def write(self, requests: Sequence[WriteRequest]) -> list[Written]:
        results = self.engine.write(requests)
        for request, written in zip(requests, results, strict=True):
            if not request.branch:
                move = Move(request.agent, written.token_ids, "", logprob=written.logprob)
                text = self.prompts.text([move])
                self.tell(Move(request.agent, written.token_ids, text, logprob=written.logprob))
        return results

    def choose(self, requests: Sequence[ChooseRequest]) -> list[Chosen]:
        results = self.engine.choose(requests)
        for request, chosen in zip(requests, results, strict=True):
            if not request.branch:
                word = self.prompts.option_words(request.agent)[chosen.option]
                token = request.options[chosen.option]
                self.tell(Move(request.agent, (token,), word, chosen.option, chosen.logprob))
        return results

    def playing(self) -> AbstractContextManager[None]:
        return self.engine.playing()

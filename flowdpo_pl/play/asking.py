"""Puts questions to a loaded team: each answer as it is written, and what is read in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowdpo_pl.data.questions import content_id
from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.told import ToldEngine
from flowdpo_pl.play.main_chains import MainChains
from flowdpo_pl.types import Move, Problem, RolloutTree
from flowdpo_pl.verify.unjudged import Unjudged


@dataclass(frozen=True)
class Asking:
    """Asks a team whose answers nobody judges; the draws are those of `test`."""

    chains: MainChains

    def problem(self, question: str) -> Problem:
        """The question as a problem without a right answer.

        Raises:
            UserError: there is nothing in it, or the agents can't read so much.
        """
        problem = Problem(content_id(question.strip()), question.strip(), gold="")
        if not problem.question:
            raise UserError("the question is empty: ask something.")
        if reason := self.chains.players.admit(problem):
            raise UserError(f"the question is {reason} for this flow and its model: {_start(question)}")
        return problem

    def answer(self, problem: Problem, sample: int, tell: Callable[[Move], None]) -> RolloutTree:
        """One answer; every move is told as soon as it is made.

        Args:
            problem: of `problem`.
            sample: its number, from 0.
            tell: hears the moves.
        """
        chains = self.chains
        rollouts = chains.players.rollouts(chains.sampling, Unjudged(chains.verifier), chains.draws)
        rollouts.engine = ToldEngine(rollouts.engine, chains.players.prompts, tell)
        (tree,) = rollouts.play([problem], samples=[sample]).trees
        return tree


def _start(text: str, shown: int = 60) -> str:
    line = " ".join(text.split())
    return f"{line[:shown]} …" if len(line) > shown else line

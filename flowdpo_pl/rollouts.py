"""Grows rollout trees breadth-first by asking an engine for moves.

In one wave the next chunk of every main chain, the alternatives to the chunk before and the
continuations of older branches, of all problems, share one batch: `max_chunks + 1` waves in all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Protocol

from flowdpo_pl.draws import Draws
from flowdpo_pl.engines.protocol import ChooseRequest, Engine, WriteRequest
from flowdpo_pl.flow import Choose, Flow, Write
from flowdpo_pl.prompts import PromptBook
from flowdpo_pl.types import Agent, Fork, Move, Problem, RolloutTree, Trajectory, Verdict


class Judge(Protocol):
    """Judges answers while generation goes on (`verifier.MathVerifier` is one)."""

    def submit(self, prediction: str, gold: str) -> Future[Verdict]: ...


@dataclass(frozen=True)
class Exploration:
    """How the main chain's nodes are explored."""

    alternatives: int | None = None
    """Alternatives tried per problem at most; None: one at every node. Fewer are chosen at random among
    the flow's possible nodes."""

    def nodes(self, draws: Draws, problem: Problem, max_moves: int) -> frozenset[int]:
        """The main-chain nodes of `problem` that get an alternative."""
        if self.alternatives is None or self.alternatives >= max_moves:
            return frozenset(range(max_moves))
        order = sorted(range(max_moves), key=lambda node: draws.uniform(problem.id, "explore", node))
        return frozenset(order[: self.alternatives])


@dataclass(frozen=True)
class Play:
    """A batch of finished trees and what they cost."""

    trees: tuple[RolloutTree, ...]
    generated_tokens: int
    seconds: float
    verdict_mass: float
    """Mean probability that the full softmax leaves to both verdict words together; nan without a verdict."""


@dataclass(eq=False)
class _Branch:
    """A path being played: the main chain, or the alternative to its move at `node`."""

    problem: Problem
    explored: frozenset[int]
    moves: list[Move] = field(default_factory=list)
    node: int | None = None
    forced: tuple[int, ...] = ()
    """Start of the next move, already drawn: how an alternative begins."""
    verdict: Future[Verdict] | None = None

    @property
    def name(self) -> str:
        return "" if self.node is None else str(self.node)

    @property
    def explores(self) -> bool:
        return self.node is None and len(self.moves) in self.explored


class Rollouts:
    """Plays problems with today's agents."""

    def __init__(self, flow: Flow, prompts: PromptBook, engine: Engine, judge: Judge, draws: Draws) -> None:
        self.flow = flow
        self.prompts = prompts
        self.engine = engine
        self.judge = judge
        self.draws = draws

    def play(self, problems: Sequence[Problem], exploration: Exploration | None = None) -> Play:
        """One tree for each problem, in order; without `exploration` only the main chains."""
        start = time.perf_counter()
        growth = _Growth(self, problems, exploration)
        try:
            growth.run()
        finally:
            self.engine.reset()
        trees = tuple(growth.tree(main) for main in growth.mains)
        masses = growth.masses
        return Play(
            trees=trees,
            generated_tokens=growth.generated_tokens,
            seconds=time.perf_counter() - start,
            verdict_mass=sum(masses) / len(masses) if masses else float("nan"),
        )


class _Growth:
    """One breadth-first growth: `live` branches wait for their next move, finished ones for their verdict."""

    def __init__(
        self, rollouts: Rollouts, problems: Sequence[Problem], exploration: Exploration | None
    ) -> None:
        self._rollouts = rollouts
        max_moves = rollouts.flow.max_moves
        self.mains = [
            _Branch(p, exploration.nodes(rollouts.draws, p, max_moves) if exploration else frozenset())
            for p in problems
        ]
        self.generated_tokens = 0
        self.masses: list[float] = []
        self._live = list(self.mains)
        self._forks: dict[_Branch, list[_Branch]] = {main: [] for main in self.mains}
        self._barren: dict[_Branch, list[int]] = {main: [] for main in self.mains}

    def run(self) -> None:
        """Serve all pending choices in one batch, else all pending chunks, until nothing is live."""
        while self._live:
            pending = [(branch, self._rollouts.flow.turn(branch.moves)) for branch in self._live]
            choosing = [(branch, turn) for branch, turn in pending if isinstance(turn, Choose)]
            if choosing:
                self._choose(choosing)
            else:
                self._write([(branch, turn) for branch, turn in pending if isinstance(turn, Write)])
            self._live = [branch for branch in self._live if not self._over(branch)]

    def _write(self, pending: Sequence[tuple[_Branch, Write]]) -> None:
        prompts = self._rollouts.prompts
        requests = [
            WriteRequest(
                agent=turn.agent,
                problem_id=branch.problem.id,
                branch=branch.name,
                turn=len(branch.moves),
                prefix=prompts.context(turn.agent, branch.problem, branch.moves).prefix,
                max_tokens=turn.max_tokens,
                forced=branch.forced,
                alternative=branch.explores,
            )
            for branch, turn in pending
        ]
        for (branch, turn), written in zip(pending, self._rollouts.engine.write(requests), strict=True):
            self.generated_tokens += len(written.token_ids) - max(0, len(branch.forced) - 1)
            if branch.explores:
                if written.other is None:
                    self._barren[branch].append(len(branch.moves))
                else:
                    self._fork(branch, forced=written.other)
            branch.forced = ()
            branch.moves.append(self._written_move(turn.agent, written.token_ids, written.logprob))

    def _choose(self, pending: Sequence[tuple[_Branch, Choose]]) -> None:
        prompts = self._rollouts.prompts
        requests = []
        for branch, turn in pending:
            context = prompts.context(turn.agent, branch.problem, branch.moves)
            requests.append(
                ChooseRequest(
                    agent=turn.agent,
                    problem_id=branch.problem.id,
                    branch=branch.name,
                    turn=len(branch.moves),
                    prefix=context.prefix,
                    suffix=context.suffix,
                    options=prompts.options(turn.agent),
                )
            )
        for (branch, turn), chosen in zip(pending, self._rollouts.engine.choose(requests), strict=True):
            self.masses.append(chosen.mass)
            if branch.explores:
                if chosen.logprob < 0:
                    other = math.log(-math.expm1(chosen.logprob))
                    fork = self._fork(branch)
                    fork.moves.append(self._verdict_move(turn.agent, 1 - chosen.option, other))
                else:
                    self._barren[branch].append(len(branch.moves))
            branch.moves.append(self._verdict_move(turn.agent, chosen.option, chosen.logprob))

    def _fork(self, main: _Branch, forced: tuple[int, ...] = ()) -> _Branch:
        fork = _Branch(main.problem, frozenset(), list(main.moves), node=len(main.moves), forced=forced)
        self._forks[main].append(fork)
        self._live.append(fork)
        return fork

    def _written_move(self, agent: Agent, token_ids: tuple[int, ...], logprob: float) -> Move:
        move = Move(agent, token_ids, "", logprob=logprob)
        return replace(move, text=self._rollouts.prompts.text([move]))

    def _verdict_move(self, agent: Agent, option: int, logprob: float) -> Move:
        prompts = self._rollouts.prompts
        word, token = prompts.option_words(agent)[option], prompts.options(agent)[option]
        return Move(agent, (token,), word, option=option, logprob=logprob)

    def _over(self, branch: _Branch) -> bool:
        """Whether the flow is over on this branch; its answer goes to the judge while others play on."""
        if branch.forced or self._rollouts.flow.turn(branch.moves) is not None:
            return False
        text = self._rollouts.prompts.text(branch.moves)
        branch.verdict = self._rollouts.judge.submit(text, branch.problem.gold)
        return True

    def tree(self, main: _Branch) -> RolloutTree:
        trunk = self._trajectory(main)
        forks = []
        for fork in sorted(self._forks[main], key=lambda fork: fork.node or 0):
            branch, node = self._trajectory(fork), fork.node or 0
            forks.append(Fork(node, trunk.moves[node], branch.moves[node], branch, trunk.correct))
        return RolloutTree(main.problem, trunk, tuple(forks), tuple(self._barren[main]))

    def _trajectory(self, branch: _Branch) -> Trajectory:
        assert branch.verdict is not None
        text = self._rollouts.prompts.text(branch.moves)
        return Trajectory(tuple(branch.moves), text, branch.verdict.result())

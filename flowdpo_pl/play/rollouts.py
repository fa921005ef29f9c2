"""Grows rollout trees breadth-first by asking an engine for moves.

In one wave the next chunk of every main chain, the alternatives to the chunk before and the
continuations of older branches, of all problems, share one batch: one wave more than the longest path has
chunks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from flowdpo_pl.draws import Draws
from flowdpo_pl.play.engines.protocol import Beginning, ChooseRequest, Engine, WriteRequest
from flowdpo_pl.play.exploration import Exploration
from flowdpo_pl.play.flow import Choose, Node, Turn, Write
from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.types import Agent, Fork, Move, Problem, RolloutTree, Trajectory, Verdict

_AT_ONCE = Beginning((), None, 0.0)
"""No token is drawn yet."""


class Judge(Protocol):
    """Judges answers while generation goes on (every `verifier.Verifier` is one)."""

    def submit(self, prediction: str, problem: Problem) -> Future[Verdict]: ...


@dataclass(frozen=True)
class Play:
    """A batch of finished trees and what they cost."""

    trees: tuple[RolloutTree, ...]
    generated_tokens: int
    seconds: float
    choice_mass: float
    """Mean probability that the full softmax leaves to an agent's words together; nan without a choice."""


@dataclass(eq=False)
class _Branch:
    """A path being played: the main chain, an alternative that left it, or a further path."""

    problem: Problem
    name: str = ""
    """Empty for the main chain; names the path's draws."""
    sample: int = 0
    """Number of its tree among the problem's; names the draws too."""
    explored: Callable[[Node], bool] = lambda node: False
    """Which nodes of this path get an alternative."""
    moves: list[Move] = field(default_factory=list)
    forced: tuple[int, ...] = ()
    """Start of the next move, already drawn: how an alternative begins."""
    forced_logprob: float = 0.0
    """Of these tokens."""
    avoid: int | None = None
    """The token that may not follow them."""
    node: int | None = None
    """Where it left the main chain; None for a further path, which may go the same way for a while."""
    verdict: Future[Verdict] | None = None

    def explores(self, agent: Agent) -> bool:
        """Whether the move that this agent makes next gets an alternative."""
        return self.explored(Node.after(self.moves, agent))


class Rollouts:
    """Plays problems with today's agents."""

    def __init__(self, prompts: PromptBook, engine: Engine, judge: Judge, draws: Draws) -> None:
        self.flow = prompts.flow
        self.prompts = prompts
        self.engine = engine
        self.judge = judge
        self.draws = draws

    def play(
        self,
        problems: Sequence[Problem],
        exploration: Exploration | None = None,
        samples: Sequence[int] | None = None,
    ) -> Play:
        """A tree for each of the problems, in order; without `exploration` only main chains.

        `samples`: the number of each tree where a problem comes several times; it names the draws, and those
        of sample 0 are the run's own. None: all are 0.
        """
        start = time.perf_counter()
        growth = _Growth(self, problems, exploration or Exploration(), samples or [0] * len(problems))
        with self.engine.playing():
            growth.run()
        trees = tuple(growth.tree(main) for main in growth.mains)
        masses = growth.masses
        return Play(
            trees=trees,
            generated_tokens=growth.generated_tokens,
            seconds=time.perf_counter() - start,
            choice_mass=sum(masses) / len(masses) if masses else float("nan"),
        )


class _Growth:
    """One breadth-first growth: `live` branches wait for their next move, finished ones for their verdict."""

    def __init__(
        self,
        rollouts: Rollouts,
        problems: Sequence[Problem],
        exploration: Exploration,
        samples: Sequence[int],
    ) -> None:
        self._rollouts = rollouts
        self._exploration = exploration
        self.mains = [self._main(*one) for one in zip(problems, samples, strict=True)]
        self._others = {
            main: [
                _Branch(main.problem, f"path {n + 1}", main.sample) for n in range(exploration.further_paths)
            ]
            for main in self.mains
        }
        self.generated_tokens = 0
        self.masses: list[float] = []
        self._live = [*self.mains, *(other for others in self._others.values() for other in others)]
        self._barren: dict[_Branch, list[int]] = {main: [] for main in self.mains}

    def _main(self, problem: Problem, sample: int) -> _Branch:
        flow, draws = self._rollouts.flow, self._rollouts.draws.of_sample(sample)
        explored = partial(self._exploration.explores, problem=problem, flow=flow, draws=draws)
        return _Branch(problem, sample=sample, explored=explored)

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
                prefix=prompts.context(turn.agent, branch.problem, branch.moves).token_ids,
                max_tokens=turn.max_tokens,
                forced=branch.forced,
                avoid=branch.avoid,
                alternative=branch.explores(turn.agent) and not self._exploration.independent,
                further=self._further(branch, turn),
                sample=branch.sample,
            )
            for branch, turn in pending
        ]
        for (branch, turn), written in zip(pending, self._rollouts.engine.write(requests), strict=True):
            parted = branch.forced and branch.avoid is None  # the last forced token was drawn for this path
            self.generated_tokens += len(written.token_ids) - len(branch.forced) + bool(parted)
            if branch.explores(turn.agent):
                if self._exploration.independent:
                    for number in range(self._exploration.others(turn)):
                        self._fork(branch, f".{number + 1}")
                elif written.other is None:
                    self._barren[branch].append(len(branch.moves))
                else:
                    first = Beginning(written.other, None, written.other_logprob)
                    for number, begun in enumerate((first, *written.further)):
                        self._fork(branch, f".{number + 1}" if number else "", begun)
            logprob = branch.forced_logprob + written.logprob
            branch.forced, branch.forced_logprob, branch.avoid = (), 0.0, None
            branch.moves.append(self._written_move(turn.agent, written.token_ids, logprob))

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
                    further=self._further(branch, turn),
                    sample=branch.sample,
                )
            )
        for (branch, turn), chosen in zip(pending, self._rollouts.engine.choose(requests), strict=True):
            self.masses.append(chosen.mass)
            if branch.explores(turn.agent):
                if self._exploration.independent:
                    for option in range(turn.words):
                        if option != chosen.option:
                            known = chosen.other_logprob if option == chosen.other else math.nan
                            move = self._chosen_move(turn.agent, option, known)
                            self._fork(branch, f".{option}").moves.append(move)
                elif chosen.other is None:
                    self._barren[branch].append(len(branch.moves))
                else:
                    first = (chosen.other, chosen.other_logprob)
                    for number, (option, logprob) in enumerate((first, *chosen.further)):
                        other = self._chosen_move(turn.agent, option, logprob)
                        self._fork(branch, f".{number + 1}" if number else "").moves.append(other)
            branch.moves.append(self._chosen_move(turn.agent, chosen.option, chosen.logprob))

    def _further(self, branch: _Branch, turn: Turn) -> int:
        """Alternatives to the branch's next move after the first one."""
        if self._exploration.independent or not branch.explores(turn.agent):
            return 0
        return self._exploration.others(turn) - 1

    def _fork(self, main: _Branch, which: str = "", begun: Beginning = _AT_ONCE) -> _Branch:
        """Another path from here on; `which` names it where there are several."""
        fork = _Branch(
            main.problem,
            f"{len(main.moves)}{which}",
            main.sample,
            moves=list(main.moves),
            forced=begun.token_ids,
            forced_logprob=begun.logprob,
            avoid=begun.avoid,
            node=len(main.moves),
        )
        self._others[main].append(fork)
        self._live.append(fork)
        return fork

    def _written_move(self, agent: Agent, token_ids: tuple[int, ...], logprob: float) -> Move:
        move = Move(agent, token_ids, "", logprob=logprob)
        return replace(move, text=self._rollouts.prompts.text([move]))

    def _chosen_move(self, agent: Agent, option: int, logprob: float) -> Move:
        prompts = self._rollouts.prompts
        word, token = prompts.option_words(agent)[option], prompts.options(agent)[option]
        return Move(agent, (token,), word, option=option, logprob=logprob)

    def _over(self, branch: _Branch) -> bool:
        """Whether the flow is over on this branch; its answer goes to the judge while others play on."""
        if branch.forced or self._rollouts.flow.turn(branch.moves) is not None:
            return False
        text = self._rollouts.prompts.answer(branch.moves)
        branch.verdict = self._rollouts.judge.submit(text, branch.problem)
        return True

    def tree(self, main: _Branch) -> RolloutTree:
        trunk = self._trajectory(main)
        forks, barren = [], list(self._barren[main])
        for other in self._others[main]:
            branch = self._trajectory(other)
            node = _parting(trunk.moves, branch.moves) if other.node is None else other.node
            if node is None:
                barren.append(0)
            else:
                forks.append(Fork(node, trunk.moves[node], branch.moves[node], branch, trunk.verdict))
        forks.sort(key=lambda fork: fork.node)
        return RolloutTree(main.problem, trunk, tuple(forks), tuple(barren))

    def _trajectory(self, branch: _Branch) -> Trajectory:
        assert branch.verdict is not None
        text = self._rollouts.prompts.answer(branch.moves)
        return Trajectory(tuple(branch.moves), text, branch.verdict.result())


def _parting(main: Sequence[Move], other: Sequence[Move]) -> int | None:
    """The first node where two paths of one problem differ; None if they are the same path.

    Equal moves have the same turn after them, so neither path can be the other's beginning.
    """
    for node, (one, two) in enumerate(zip(main, other, strict=False)):
        if one.token_ids != two.token_ids:
            return node
    return None

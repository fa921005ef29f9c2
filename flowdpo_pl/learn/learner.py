"""One agent's update from its lessons: packed forward, reference, objective, gradients, step.

Shapes: L lessons, M moves, lesson after lesson.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from flowdpo_pl.distributed import summed
from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import NOT_NEGATIVE, POSITIVE, require_within
from flowdpo_pl.learn.adapter_update import AdapterStep, AdapterUpdate, Optimizer
from flowdpo_pl.learn.losses import SigmoidLoss
from flowdpo_pl.learn.objective import MoveScores, Objective
from flowdpo_pl.learn.packing import Lesson, PackedTree, by_problem, pack_lessons
from flowdpo_pl.learn.scoring import MicroBatch, move_logprobs
from flowdpo_pl.play.players import Players
from flowdpo_pl.types import Agent


@dataclass(frozen=True)
class Learning:
    """How one agent learns (defaults: table 2 of the paper)."""

    lr: float = 5e-6
    """Adam's learning rate."""
    loss: Objective = field(default_factory=SigmoidLoss)
    """What is learnt: a loss over preference pairs, with its beta, or a policy gradient over groups."""
    max_grad_norm: float = 1.0
    """Gradients of this agent are clipped to this norm; 0: never."""

    def __post_init__(self) -> None:
        require_within(POSITIVE, {"lr": self.lr})
        require_within(NOT_NEGATIVE, {"max_grad_norm": self.max_grad_norm})


@dataclass(frozen=True)
class Update:
    """What one update saw, of all ranks."""

    lessons: int
    means: Mapping[str, float]
    """The `loss` and the objective's own numbers, over the lessons (nan without any)."""
    grad_norm: float
    tokens: int
    """Packed tokens read by this rank."""
    score_seconds: float
    """Forwards without gradients: of the reference, and of the policy before several steps."""
    update_seconds: float
    """Policy forwards, backwards and the step."""
    set_aside: bool
    """The loss or gradient was not finite: nothing was learnt from these lessons."""


@dataclass(frozen=True)
class _Packed:
    """Lessons as packed trees."""

    trees: tuple[PackedTree, ...]
    lessons_of: Mapping[int, Sequence[Lesson]]
    """By `id` of a tree."""

    def in_batch(self, batch: MicroBatch) -> list[Lesson]:
        """Those whose moves it holds, in this order."""
        return [lesson for tree in batch.trees for lesson in self.lessons_of[id(tree)]]


class Learner:
    """Updates the agents one at a time, each from its own lessons."""

    def __init__(
        self,
        players: Players,
        draws: Draws,
        backward: Callable[[Tensor], None],
        token_budget: int,
    ) -> None:
        """`token_budget`: padded tokens in one forward; `backward`: the trainer's."""
        self.agents = players.agents
        self.head = players.head
        self.prompts = players.prompts
        self.backward = backward
        self.update = AdapterUpdate(players.agents, draws, token_budget)

    def learn(
        self,
        agent: Agent,
        lessons: Sequence[Lesson],
        learning: Learning,
        optimizer: Optimizer,
        update: int,
        problems: int = 0,
        before: Mapping[int, Tensor] | None = None,
    ) -> Update:
        """One optimizer step of `agent` from all these lessons, normalised over all ranks.

        No lessons on any rank: no step, no gradient.

        Args:
            agent: who learns.
            lessons: of this rank.
            learning: how.
            optimizer: of the adapters.
            update: numbers the run's updates; it seeds dropout.
            problems: of this rank's share of the batch, for objectives that are means over problems.
            before: what `before` gave at the start of the batch; None: the policy as it is in this step.
        """
        start, score_seconds = time.perf_counter(), 0.0
        objective = learning.loss
        total, played = map(int, summed([len(lessons), problems], self.agents.device))
        packed = self._packed(lessons)
        names = ("loss", *objective.numbers)

        def contribution(batch: MicroBatch) -> dict[str, float]:
            nonlocal score_seconds
            taught = packed.in_batch(batch)
            started = time.perf_counter()
            reference = self._reference(agent, batch, objective)
            score_seconds += time.perf_counter() - started
            with self.agents.acting_as(agent, batch.keys):  # backward inside: checkpointing recomputes as it
                policy = move_logprobs(self.agents, batch, self.head)
                known = policy.detach() if before is None else torch.cat([before[id(one)] for one in taught])
                scores = MoveScores(policy, reference, known, batch.lengths)
                losses, numbers = objective.score(scores, taught)
                self.backward(losses.sum() / objective.shares(total, played))
            return {"loss": _sum(losses), **{name: _sum(numbers[name]) for name in objective.numbers}}

        if total:
            done = self.update.step(
                agent, packed.trees, names, contribution, optimizer, learning.max_grad_norm, update
            )
        else:
            done = AdapterStep(dict.fromkeys(names, math.nan), math.nan, set_aside=False)
        return Update(
            lessons=total,
            means={name: value / max(1, total) for name, value in done.sums.items()},
            grad_norm=done.grad_norm,
            tokens=sum(map(len, packed.trees)),
            score_seconds=score_seconds,
            update_seconds=time.perf_counter() - start - score_seconds,
            set_aside=done.set_aside,
        )

    def before(self, agent: Agent, lessons: Sequence[Lesson]) -> dict[int, Tensor]:
        """What the agent says of the lessons' moves now, by `id` of a lesson; without dropout, as in play."""
        said: dict[int, Tensor] = {}
        packed = self._packed(lessons)

        def contribution(batch: MicroBatch) -> dict[str, float]:
            with torch.no_grad(), self.agents.acting_as(agent):
                scores = move_logprobs(self.agents, batch, self.head)
            taught = packed.in_batch(batch)
            parts = scores.split([len(lesson.moves) for lesson in taught])
            said.update((id(lesson), part) for lesson, part in zip(taught, parts, strict=True))
            return {}

        training = self.agents.training
        self.agents.train(False)
        try:
            self.update.sums(agent, packed.trees, (), contribution)
        finally:
            self.agents.train(training)
        return said

    def _packed(self, lessons: Sequence[Lesson]) -> _Packed:
        grouped = by_problem(lessons)
        trees = tuple(pack_lessons(of_problem, self.prompts) for of_problem in grouped)
        return _Packed(trees, {id(tree): of_one for tree, of_one in zip(trees, grouped, strict=True)})

    def _reference(self, agent: Agent, batch: MicroBatch, objective: Objective) -> Tensor:
        """What the reference says of the moves, `[M]`; nan where the objective does not ask."""
        if not objective.needs_reference:
            return torch.full((batch.moves,), math.nan, device=self.agents.device)
        with self.agents.reference(agent):
            return move_logprobs(self.agents, batch, self.head)


def _sum(values: Tensor) -> float:
    return float(values.detach().sum())


def averaged(learnt: Sequence[Update]) -> dict[str, float]:
    """The numbers of several updates as one: sums of counts and seconds, means over lessons."""
    lessons = sum(part.lessons for part in learnt)
    numbers: dict[str, float] = {"updates_set_aside": float(sum(part.set_aside for part in learnt))}
    for name in ("tokens", "score_seconds", "update_seconds"):
        numbers[name] = float(sum(getattr(part, name) for part in learnt))
    for name in learnt[0].means:
        weighted = [part.means[name] * part.lessons for part in learnt if part.lessons]
        numbers[name] = sum(weighted) / lessons if lessons else math.nan
    norms = [part.grad_norm * part.lessons for part in learnt if part.lessons]
    numbers["grad_norm"] = sum(norms) / lessons if lessons else math.nan
    return numbers

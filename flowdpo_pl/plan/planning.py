"""A plan: memory, tokens and hours of one run on one card, as typical and at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flowdpo_pl.learn.objective import Objective
from flowdpo_pl.plan.advice import Change, changes
from flowdpo_pl.plan.cards import GB, Card
from flowdpo_pl.plan.hours import Phase, phases
from flowdpo_pl.plan.made_trees import all_tied, deepest_lessons, made_tree
from flowdpo_pl.plan.memory import Machine, Use, memory
from flowdpo_pl.plan.shapes import ModelShape
from flowdpo_pl.plan.sketched_prompts import PromptShape, SketchedPrompts
from flowdpo_pl.plan.workload import Workload, counted, supervised
from flowdpo_pl.play.exploration import Exploration
from flowdpo_pl.play.flow import Flow
from flowdpo_pl.types import Agent, RolloutTree

LEFT_FREE = GB
"""Of a card: what its driver and libraries take before the first tensor."""
_TYPICAL = 3
"""A typical answer has a third of the tokens that the flow allows, and a third of the problems teach."""


@dataclass(frozen=True)
class Task:
    """What is run: the rules, who reads what, and how often."""

    verb: str
    flow: Flow
    exploration: Exploration | None
    """None: nothing is played, traces are learnt."""
    writer: Agent
    objectives: Mapping[Agent, Objective]
    """What each learner learns from trees; empty where nothing is learnt, or traces are."""
    typical: Mapping[Agent, PromptShape]
    longest: Mapping[Agent, PromptShape]
    count: int | None
    """Problems or traces of the whole run, passes and samples counted; None if nobody knows."""


@dataclass(frozen=True)
class Extent:
    """What a run takes if its answers have one length."""

    answer_tokens: int | None
    """None: as they were played."""
    memory: dict[str, int]
    """Bytes by part."""
    phases: dict[str, Phase]
    """Of the whole run, or of 1,000 problems where nobody knows how many there are."""

    @property
    def needs(self) -> int:
        """Bytes at the peak."""
        return sum(self.memory.values())

    @property
    def hours(self) -> float:
        return sum(phase.seconds for phase in self.phases.values()) / 3600


@dataclass(frozen=True)
class Plan:
    """What is said of a run."""

    typical: Extent
    at_most: Extent
    played: Extent | None
    """Of the batch that a probe played."""
    room: int
    """Bytes that the card has for it."""
    changes: list[Change]
    """What to change where even the most does not fit; empty where it does, or where nothing helps."""

    @property
    def expected(self) -> Extent:
        """As it was played, else as typical."""
        return self.played or self.typical

    @property
    def fits(self) -> bool:
        """At most, that is."""
        return self.at_most.needs <= self.room


def planned(
    task: Task, shape: ModelShape, use: Use, card: Card, machine: Machine, batch: Workload | None = None
) -> Plan:
    """The plan of a task with these settings on a card; `batch`: one that was played, if one was."""
    most = task.flow.max_answer_tokens
    room = card.memory - (0 if card.is_cpu else LEFT_FREE)
    answer = -(-most // _TYPICAL)

    def of(changed: Use, workload: Workload, answer: int | None) -> Extent:
        count = task.count if task.count is not None else 1000
        return Extent(
            answer,
            memory(shape, changed, machine, workload),
            phases(shape, changed, card, workload, count, task.objectives) if card.flops else {},
        )

    typical = of(use, typically(task, use, answer), answer)
    whole = of(use, at_most(task, use), most)
    played = None if batch is None else of(use, batch, None)

    def needs(changed: Use) -> int:
        return of(changed, at_most(task, changed), most).needs

    return Plan(typical, whole, played, room, [] if whole.needs <= room else changes(use, needs, room))


def typically(task: Task, use: Use, answer: int) -> Workload:
    """A batch whose answers have `answer` tokens; a third of its problems teach each agent at one node.

    An objective that learns from ties too, such as one that pays for divergence, learns from every node.
    """
    if task.exploration is None:
        return _traces(task, use, answer, task.typical)
    tree, prompts = made_tree(task.flow, task.exploration, answer), SketchedPrompts(task.flow, task.typical)
    some = counted([deepest_lessons(tree)], prompts, task.objectives)
    tied = counted([all_tied(tree)], prompts, task.objectives).packs
    packs = {
        agent: [*tied[agent]] * use.trees if agent in tied else [*few] * -(-use.trees // _TYPICAL)
        for agent, few in some.packs.items()
    }
    return replace(some.times(use.problems, 0), packs=packs)


def at_most(task: Task, use: Use) -> Workload:
    """A batch of the longest answers, with something to learn at every node of every problem."""
    if task.exploration is None:
        return _traces(task, use, task.flow.max_answer_tokens, task.longest)
    tree = made_tree(task.flow, task.exploration)
    return _problems(task, tree, task.longest, use, use.trees)


def _traces(task: Task, use: Use, answer: int, prompts: Mapping[Agent, PromptShape]) -> Workload:
    return supervised(task.writer, sum(prompts[task.writer].tokens), answer, use.trees)


def _problems(
    task: Task, tree: RolloutTree, prompts: Mapping[Agent, PromptShape], use: Use, trees: int
) -> Workload:
    one = counted([tree], SketchedPrompts(task.flow, prompts), task.objectives)
    return one.times(use.problems, trees)

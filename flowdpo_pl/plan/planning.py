"""A plan: memory, tokens and hours of one run on one card, as typical and at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flowdpo_pl.plan.advice import Change, changes
from flowdpo_pl.plan.cards import GB, Card
from flowdpo_pl.plan.hours import Phase, phases
from flowdpo_pl.plan.memory import Machine, Use, memory
from flowdpo_pl.plan.paths import PackedShape, ProblemTokens, PromptTokens, problem_tokens, supervised_tokens
from flowdpo_pl.plan.shapes import ModelShape
from flowdpo_pl.play.exploration import Exploration
from flowdpo_pl.play.flow import Flow
from flowdpo_pl.types import Agent

LEFT_FREE = GB
"""Of a card: what its driver and libraries take before the first tensor."""
_TYPICAL = 3
"""A typical answer has a third of the tokens that the flow allows, and a third of the problems give pairs."""


@dataclass(frozen=True)
class Task:
    """What is run: the rules, who reads what, and how often."""

    verb: str
    flow: Flow
    exploration: Exploration | None
    """None: nothing is played, traces are learnt."""
    writer: Agent
    learners: tuple[Agent, ...]
    typical: Mapping[Agent, PromptTokens]
    longest: Mapping[Agent, PromptTokens]
    count: int | None
    """Problems or traces of the whole run, passes and samples counted; None if nobody knows."""


@dataclass(frozen=True)
class Extent:
    """What a run takes if its answers have one length."""

    answer_tokens: int
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
    room: int
    """Bytes that the card has for it."""
    changes: list[Change]
    """What to change where even the most does not fit; empty where it does, or where nothing helps."""

    @property
    def fits(self) -> bool:
        """At most, that is."""
        return self.at_most.needs <= self.room


def planned(task: Task, shape: ModelShape, use: Use, card: Card, machine: Machine) -> Plan:
    """The plan of a task with these settings on a card."""
    most = task.flow.max_written_tokens
    room = card.memory - (0 if card.is_cpu else LEFT_FREE)
    fewer = use if task.exploration is None else replace(use, trees=-(-use.trees // _TYPICAL))
    typical = _extent(task, shape, fewer, card, machine, -(-most // _TYPICAL), task.typical)
    at_most = _extent(task, shape, use, card, machine, most, task.longest)

    def needs(changed: Use) -> int:
        return _extent(task, shape, changed, card, machine, most, task.longest).needs

    helping = [] if at_most.needs <= room else changes(use, needs, room)
    return Plan(typical, at_most, room, helping)


def _extent(
    task: Task,
    shape: ModelShape,
    use: Use,
    card: Card,
    machine: Machine,
    answer: int,
    prompts: Mapping[Agent, PromptTokens],
) -> Extent:
    tokens, trees = demanded(task, answer, prompts)
    count = task.count if task.count is not None else 1000
    return Extent(
        answer,
        memory(shape, use, machine, tokens, trees),
        phases(shape, use, card, tokens, trees, count) if card.flops else {},
    )


def demanded(
    task: Task, answer: int, prompts: Mapping[Agent, PromptTokens]
) -> tuple[ProblemTokens | None, dict[Agent, PackedShape]]:
    """Tokens of a problem, and of what is learnt from it, if answers have `answer` tokens."""
    if task.exploration is None:
        return None, {task.writer: supervised_tokens(prompts[task.writer].before, answer)}
    tokens = problem_tokens(task.flow, prompts, task.exploration, answer)
    return tokens, {agent: tree for agent, tree in tokens.trees.items() if agent in task.learners}

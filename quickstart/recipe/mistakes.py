"""What goes wrong when the agents of a dialogue solve a story: at most one mistake, by habits of each agent.

A mistake is an edit of the story's steps, so that a plan can hold it, a draft can show it, and one note can
say how to mend it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from quickstart.recipe.solutions import careful_solution, guessed_solution, near, solution_of
from quickstart.recipe.world import LARGEST_NUMBER, Shape, Step, Story

LAST_IS_MISSING = 0.7
"""Share of missing steps that are the last one; the others are drawn from all."""


class Kind(StrEnum):
    """What is wrong."""

    MISSING = "missing"
    TURNED = "turned"
    """Plus for minus, or minus for plus."""
    TWICE = "twice"
    GUESSED = "guessed"
    """No step at all, a number near the right one."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, and at which step."""

    kind: Kind
    index: int = -1
    """Of the story's step; -1 for a guess."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """Shares of an agent's mistakes on stories of one shape; the rest is right."""

    missing: float = 0.0
    turned: float = 0.0
    twice: float = 0.0
    guessed: float = 0.0


Habits = Mapping[Shape, Weakness]


def habits(usual: Weakness, weak: Mapping[Shape, Weakness]) -> Habits:
    """An agent's weakness for every shape."""
    return {shape: weak.get(shape, usual) for shape in Shape}


def mistaken_steps(story: Story, mistake: Mistake | None) -> tuple[Step, ...]:
    """The story's steps with this mistake in them (not for a guess, which has none)."""
    steps = list(story.steps)
    if mistake is not None:
        at = mistake.index
        if mistake.kind is Kind.MISSING:
            del steps[at]
        elif mistake.kind is Kind.TWICE:
            steps.insert(at, steps[at])
        elif mistake.kind is Kind.TURNED:
            steps[at] = Step("change", 0, "-" if steps[at].sign == "+" else "+", steps[at].right)
    return recalculated(story.start, steps)


def recalculated(start: int, steps: Iterable[Step]) -> tuple[Step, ...]:
    """The same operations, each on the result of the one before."""
    total, calculated = start, []
    for step in steps:
        calculated.append(Step(step.kind, total, step.sign, step.right))
        total = calculated[-1].result
    return tuple(calculated)


def possible_mistakes(story: Story, kind: Kind) -> list[Mistake]:
    """Those of this kind whose numbers stay in the vocabulary. The boxes are never forgotten."""
    if kind is Kind.GUESSED:
        return [Mistake(kind)]
    allowed = ("change",) if kind is Kind.TURNED else ("change", "worth")
    every = [Mistake(kind, index) for index, step in enumerate(story.steps) if step.kind in allowed]
    return [mistake for mistake in every if in_vocabulary(mistaken_steps(story, mistake))]


def in_vocabulary(steps: Iterable[Step]) -> bool:
    """Whether every result has a token."""
    return all(0 <= step.result <= LARGEST_NUMBER for step in steps)


def draw_mistake(story: Story, agent: Habits, rng: random.Random) -> Mistake | None:
    """A mistake by the agent's habits, or none."""
    weakness = agent[story.shape]
    mood = rng.random()
    for kind in Kind:
        share = getattr(weakness, kind)
        if mood < share:
            every = possible_mistakes(story, kind)
            last = Mistake(kind, len(story.steps) - 1)
            if kind is Kind.MISSING and rng.random() < LAST_IS_MISSING:
                return last
            return rng.choice(every) if every else None
        mood -= share
    return None


def write_draft(story: Story, mistake: Mistake | None, rng: random.Random) -> str:
    """A solution with this mistake in it."""
    if mistake is None:
        return careful_solution(story)
    if mistake.kind is Kind.GUESSED:
        return guessed_solution(near(story.answer, rng))
    return solution_of(story, mistaken_steps(story, mistake))

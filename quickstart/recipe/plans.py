"""Planner and Solver's conversations: naming the calculations of a story, and doing what a plan names.

The solver follows its plan, right or wrong, so that the planner decides what comes out.
"""

from __future__ import annotations

import random

from quickstart.recipe.dialogues import Dialogue
from quickstart.recipe.mistakes import (
    Weakness,
    draw_mistake,
    habits,
    in_vocabulary,
    mistaken_steps,
    recalculated,
)
from quickstart.recipe.solutions import guessed_solution, near, solution_of
from quickstart.recipe.world import Shape, Step, Story

PLANNER_MESSAGE = "{question} Plan?"
SOLVER_MESSAGE = "{question} Plan: {planner}"
OPERATIONS = {"+": "plus", "-": "minus", "*": "times"}

PLANNER = habits(
    Weakness(missing=0.18, turned=0.14, twice=0.08),
    weak={
        Shape.BOXES_CHANGE_WORTH: Weakness(missing=0.70, turned=0.05),
        Shape.BOXES_CHANGE: Weakness(missing=0.10, turned=0.60),
    },
)
HASTY = 0.10
"""Share of the solver's replies that only guess what the plan comes to."""
FORGETFUL = 0.07
"""Share that leave the plan's last step out."""
FOREIGN = 0.35
"""Share of the solver's plans with numbers that the question has not: it must read the plan to follow it."""


def draw_plan_dialogue(story: Story, rng: random.Random) -> Dialogue:
    """The planner's turn in one case of two, otherwise the solver's with such a plan."""
    steps = mistaken_steps(story, draw_mistake(story, PLANNER, rng))
    if rng.random() < 0.5:
        return Dialogue(PLANNER_MESSAGE.format(question=story.question), write_plan(steps))
    if rng.random() < FOREIGN:
        steps = _with_other_numbers(steps, rng)
    message = SOLVER_MESSAGE.format(question=story.question, planner=write_plan(steps))
    mood = rng.random()
    if mood < HASTY:
        return Dialogue(message, guessed_solution(near(steps[-1].result, rng)))
    if mood < HASTY + FORGETFUL and len(steps) > 1:
        steps = steps[:-1]
    return Dialogue(message, solution_of(story, steps))


def write_plan(steps: tuple[Step, ...]) -> str:
    """The calculations in order, without results."""
    return " then ".join(name_step(step) for step in steps) + "."


def name_step(step: Step) -> str:
    """A calculation in words: "minus 4"."""
    return f"{OPERATIONS[step.sign]} {step.right}"


def _with_other_numbers(steps: tuple[Step, ...], rng: random.Random) -> tuple[Step, ...]:
    """The same operations with numbers of no story, or the plan as it is where these lead too far."""
    drawn = [
        Step(step.kind, step.left, step.sign, rng.randint(2, 6 if step.sign == "*" else 9)) for step in steps
    ]
    foreign = recalculated(steps[0].left, drawn)
    return foreign if in_vocabulary(foreign) else steps

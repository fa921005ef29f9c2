"""How the corpus solves stories: carefully, forgetfully or hastily, by habits that differ by shape.

The careful style writes every step and is always right. The other two are what preferences can
unlearn: the forgetful one leaves out the last step, the hasty one writes no step and guesses.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from quickstart.recipe.world import LARGEST_NUMBER, Shape, Step, Story


@dataclass(frozen=True, slots=True)
class Habit:
    """Shares of the careless styles; the rest is careful."""

    forgetful: float
    hasty: float


# For two shapes of six a careless style is the likeliest one: greedy decoding fails there, so that
# learning has more to do than to sharpen.
HABITS = {
    Shape.CHANGE_CHANGE: Habit(forgetful=0.13, hasty=0.18),
    Shape.BOXES_CHANGE: Habit(forgetful=0.18, hasty=0.12),
    Shape.CHANGE_WORTH: Habit(forgetful=0.55, hasty=0.07),
    Shape.BOXES_CHANGE_CHANGE: Habit(forgetful=0.15, hasty=0.15),
    Shape.CHANGE_CHANGE_WORTH: Habit(forgetful=0.15, hasty=0.15),
    Shape.BOXES_CHANGE_WORTH: Habit(forgetful=0.05, hasty=0.57),
}
RIGHT_GUESSES = 0.2
"""Share of hasty solutions that happen to be right."""
AFTERTHOUGHTS = 0.15
"""Share of answers after which the solver goes on: what Answer writes where Stop lets it run on."""
SECOND_GUESSES = 0.4
"""Share of afterthoughts that replace the answer by a wrong one; the others confirm it."""


def solution_of(story: Story, steps: tuple[Step, ...]) -> str:
    """These steps with their results, then the last result as the answer."""
    return _steps(story, steps) + _answer(steps[-1].result)


def careful_solution(story: Story) -> str:
    """Every step with its result, then the answer."""
    return solution_of(story, story.steps)


def forgetful_solution(story: Story) -> str:
    """The last step is left out."""
    return solution_of(story, story.steps[:-1])


def hasty_solution(story: Story, rng: random.Random) -> str:
    """No step, a guess near the answer."""
    return guessed_solution(story.answer if rng.random() < RIGHT_GUESSES else near(story.answer, rng))


def guessed_solution(guess: int) -> str:
    """No step, only this number."""
    return f"That makes about {guess}. " + _answer(guess)


def draw_solution(story: Story, rng: random.Random) -> str:
    """A solution in a style drawn by the habit of the story's shape, now and then with afterthoughts."""
    habit = HABITS[story.shape]
    mood = rng.random()
    if mood < habit.forgetful:
        text = forgetful_solution(story)
    elif mood < habit.forgetful + habit.hasty:
        text = hasty_solution(story, rng)
    else:
        text = careful_solution(story)
    while rng.random() < AFTERTHOUGHTS:
        answer = int(text.split()[-1].rstrip("."))
        if rng.random() < SECOND_GUESSES:
            text += " Or maybe not. " + _answer(near(answer, rng))
        else:
            text += " Check it again. " + _answer(answer)
    return text


def near(number: int, rng: random.Random) -> int:
    """A wrong number within 5 of `number`."""
    near = [number + by for by in range(-5, 6) if by and 0 <= number + by <= LARGEST_NUMBER]
    return rng.choice(near)


def _steps(story: Story, steps: tuple[Step, ...]) -> str:
    sentences = [_sentence(story, step) for step in steps]
    if story.steps[0].kind != "boxes":
        sentences.insert(0, f"{story.hero} starts with {story.start}.")
    return "".join(sentence + " " for sentence in sentences)


def _sentence(story: Story, step: Step) -> str:
    sum_ = f"{step.left} {step.sign} {step.right} = {step.result}"
    if step.kind == "boxes":
        return f"{story.hero} starts with {sum_}."
    return f"Then {sum_} {story.things}." if step.kind == "change" else f"Worth {sum_} coins."


def _answer(number: int) -> str:
    return f"The answer is {number}."

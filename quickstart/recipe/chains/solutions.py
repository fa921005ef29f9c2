"""How the corpus solves a chain: each step goes wrong now and then, and what friends do is mostly miscounted.

A mistake is made in one step, whatever the others are like, and the rest follows from it. A *slip* writes
another result, a *forgotten* step is left out, a *miscounted* one counts another number: each changes whether
the total is even in half of the cases. A step names its event in the words of the question, then calculates,
"January 3 arrive, 12 + 3 = 15.", so that a small model has only to copy and to add.
"""

from __future__ import annotations

import random

from quickstart.recipe.chains.world import Chain, Step, answer_of
from quickstart.recipe.world import LARGEST_NUMBER as LARGEST_TOKEN

MISTAKES = 0.1
"""Share of steps that go wrong."""
SLIPS = 0.6
"""Of these mistakes; the others forget the step."""
MISCOUNTED = {2: 4, 3: 5, 4: 7, 5: 8, 6: 8, 7: 9, 8: 5, 9: 6}
"""What is counted in place of a friend's number."""
MISCOUNTS = 0.6
"""Share of friends' events that are miscounted: the likeliest there, so greedy decoding fails too."""
AFTERTHOUGHTS = 0.1
"""Share of answers after which the solver goes on."""
SECOND_GUESSES = 0.4
"""Share of afterthoughts that replace the answer by a wrong one; the others confirm it."""
CONFIRMED, REPLACED = "Check it again.", "Or maybe not."


def careful_solution(chain: Chain) -> str:
    """Every step with its result, then the answer."""
    steps = [written_step(step, step.left, step.right, step.result) for step in chain.steps]
    return " ".join([*steps, written_answer(chain.answer)])


def draw_solution(chain: Chain, rng: random.Random) -> str:
    """A solution with mistakes drawn step by step, now and then with afterthoughts."""
    total, sentences = chain.start, []
    for step in chain.steps:
        mistaken = rng.random() < MISTAKES
        slips = rng.random() < SLIPS
        if mistaken and not slips:
            continue
        miscounted = step.friend and rng.random() < MISCOUNTS
        number = MISCOUNTED[step.right] if miscounted else step.right
        result = total + number if step.sign == "+" else total - number
        result = min(max(result, 0), LARGEST_TOKEN)
        if mistaken:
            result = slipped(result, rng)
        sentences.append(written_step(step, total, number, result))
        total = result
    answer = answer_of(total, chain.lucky)
    sentences.append(written_answer(answer))
    while rng.random() < AFTERTHOUGHTS:
        if rng.random() < SECOND_GUESSES:
            total = slipped(total, rng) if not chain.lucky else total + 1
            sentences += [REPLACED, written_answer(answer_of(total, chain.lucky))]
        else:
            sentences += [CONFIRMED, written_answer(answer_of(total, chain.lucky))]
    return " ".join(sentences)


def slipped(number: int, rng: random.Random) -> int:
    """A wrong number within 4 of this one, as often even as odd."""
    near = [number + by for by in (-4, -3, -2, -1, 1, 2, 3, 4)]
    return rng.choice([one for one in near if 0 <= one <= LARGEST_TOKEN])


def written_step(step: Step, total: int, number: int, result: int) -> str:
    return f"{step.month} {step.right} {step.verb}, {total} {step.sign} {number} = {result}."


def written_answer(answer: str) -> str:
    return f"The answer is {answer}."

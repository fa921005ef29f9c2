"""The two conversations that the pretraining teaches: solving, and saying whether a draft is finished.

Stop's lessons are deliberately unreliable, so that the flow has something to learn there too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from quickstart.recipe.solutions import draw_solution
from quickstart.recipe.world import draw_stories

ANSWER_MESSAGE = "{question}"
STOP_MESSAGE = "{question} Draft: {partial} Finished?"
VERDICTS = ("Yes", "No")

STOP_SHARE = 0.25
"""Share of Stop's dialogues in the corpus (each teaches one token only)."""
YES_IF_FINISHED = 0.67
YES_IF_UNFINISHED = 0.15


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One user message and the assistant's reply."""

    message: str
    reply: str


def draw_dialogues(seed: int) -> Iterator[Dialogue]:
    """The corpus: an endless stream, a function of the seed alone."""
    rng = random.Random(f"corpus {seed}")
    for story in draw_stories("corpus", rng):
        solution = draw_solution(story, rng)
        if rng.random() >= STOP_SHARE:
            yield Dialogue(ANSWER_MESSAGE.format(question=story.question), solution)
            continue
        yield stop_dialogue(story.question, solution, rng)


def stop_dialogue(question: str, solution: str, rng: random.Random) -> Dialogue:
    """Stop reads a beginning of the solution and says, unreliably, whether it is finished."""
    draft = _cut(solution, rng)
    finished = "answer is" in draft and not draft.endswith("answer is")
    yes = rng.random() < (YES_IF_FINISHED if finished else YES_IF_UNFINISHED)
    message = STOP_MESSAGE.format(question=question, partial=draft)
    return Dialogue(message, VERDICTS[0] if yes else VERDICTS[1])


def _cut(solution: str, rng: random.Random) -> str:
    """The whole solution in two cases of five, otherwise its beginning up to any word."""
    words = solution.replace(".", " .").split()
    kept = len(words) if rng.random() < 0.4 else rng.randint(4, len(words))
    return " ".join(words[:kept])

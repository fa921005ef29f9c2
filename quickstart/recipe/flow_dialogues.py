"""The second model's corpus: the conversations of three flows, mixed, and the words that they need."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from quickstart.recipe import critiques, debates, plans
from quickstart.recipe.dialogues import Dialogue
from quickstart.recipe.tokenizer import tokens_of
from quickstart.recipe.world import draw_stories

SHARES = {
    critiques.draw_critic_dialogue: 0.48,
    debates.draw_debate_dialogue: 0.24,
    plans.draw_plan_dialogue: 0.28,
}
"""Of the flows' conversations in the corpus."""


def draw_flow_dialogues(seed: int) -> Iterator[Dialogue]:
    """The corpus: an endless stream, a function of the seed alone."""
    rng = random.Random(f"flows {seed}")
    for story in draw_stories("corpus", rng):
        (draw,) = rng.choices(list(SHARES), list(SHARES.values()))
        yield draw(story, rng)


def flow_vocabulary() -> list[str]:
    """The tokens of `quickstart/dialogue_model`, in the order of their ids."""
    sample = itertools.islice(draw_flow_dialogues(0), 8000)
    return tokens_of(text for dialogue in sample for text in (dialogue.message, dialogue.reply))

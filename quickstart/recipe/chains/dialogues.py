"""The corpus of the chains: Answer's conversations, and Stop's with unreliable choices, of 1 to 12 steps."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from quickstart.recipe.chains.solutions import draw_solution
from quickstart.recipe.chains.world import LONGEST, draw_chain, split_of
from quickstart.recipe.dialogues import ANSWER_MESSAGE, Dialogue, stop_dialogue
from quickstart.recipe.tokenizer import tokens_of

STOP_SHARE = 0.15
"""Share of Stop's dialogues in the corpus (each teaches one token only)."""


def draw_chain_dialogues(seed: int, longest: int = LONGEST) -> Iterator[Dialogue]:
    """The corpus: an endless stream of chains up to the longest, a function of these two alone."""
    rng = random.Random(f"chains {seed}")
    while True:
        chain = draw_chain(rng, rng.randint(1, longest), rng.random() < 0.5)
        if split_of(chain.question) != "corpus":
            continue
        solution = draw_solution(chain, rng)
        if rng.random() < STOP_SHARE:
            yield stop_dialogue(chain.question, solution, rng)
        else:
            yield Dialogue(ANSWER_MESSAGE.format(question=chain.question), solution)


def chain_vocabulary() -> list[str]:
    """The tokens of the chains' models, in the order of their ids."""
    sample = itertools.islice(draw_chain_dialogues(0), 4000)
    return tokens_of(text for dialogue in sample for text in (dialogue.message, dialogue.reply))

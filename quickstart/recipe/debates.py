"""The Debate flow's conversations: two drafts by agents who are weak on different stories, and a choice."""

from __future__ import annotations

import random

from quickstart.recipe.dialogues import Dialogue
from quickstart.recipe.mistakes import Weakness, draw_mistake, habits, write_draft
from quickstart.recipe.world import Shape, Story

ALICE_MESSAGE = "Alice: {question}"
BOB_MESSAGE = "Bob: {question}"
JUDGE_MESSAGE = "{question} Alice: {alice} Bob: {bob} Who?"
CHOICES = ("Alice", "Bob")

USUAL = Weakness(missing=0.15, turned=0.10, guessed=0.10)
ALICE = habits(
    USUAL,
    weak={shape: Weakness(missing=0.60, turned=0.10, guessed=0.10) for shape in Shape if "worth" in shape},
)
BOB = habits(
    USUAL,
    weak={
        shape: Weakness(missing=0.10, turned=0.10, guessed=0.60) for shape in Shape if "worth" not in shape
    },
)
RIGHT_CHOICES = 0.62
"""Share of the judge's choices that are right where one draft is; elsewhere it tosses a coin."""


def draw_debate_dialogue(story: Story, rng: random.Random) -> Dialogue:
    """A draft of Alice's, one of Bob's, or the judge's choice between two."""
    alice, bob = draw_mistake(story, ALICE, rng), draw_mistake(story, BOB, rng)
    kind = rng.random()
    if kind < 0.3:
        return Dialogue(ALICE_MESSAGE.format(question=story.question), write_draft(story, alice, rng))
    if kind < 0.6:
        return Dialogue(BOB_MESSAGE.format(question=story.question), write_draft(story, bob, rng))
    drafts = {"alice": write_draft(story, alice, rng), "bob": write_draft(story, bob, rng)}
    one_is_right = (alice is None) != (bob is None)
    says_alice = rng.random() < (RIGHT_CHOICES if one_is_right else 0.5)
    if one_is_right and bob is None:
        says_alice = not says_alice
    message = JUDGE_MESSAGE.format(question=story.question, **drafts)
    return Dialogue(message, CHOICES[0] if says_alice else CHOICES[1])

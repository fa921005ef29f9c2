"""The Critic flow's conversations: a first draft, a choice with a note, and a draft that follows a note.

The solver takes a note at its word. The note that names the draft's mistake mends it; one that doesn't fit
spoils a right draft and leaves a wrong one as it is. So the critic decides what a revision is worth.
"""

from __future__ import annotations

import random

from quickstart.recipe.dialogues import Dialogue
from quickstart.recipe.mistakes import (
    Kind,
    Mistake,
    Weakness,
    draw_mistake,
    habits,
    mistaken_steps,
    possible_mistakes,
    write_draft,
)
from quickstart.recipe.plans import name_step
from quickstart.recipe.world import Shape, Story

SOLVER_MESSAGE = "{question} Tried: {solver} Note: {critic}"
CRITIC_MESSAGE = "{question} Draft: {partial} Keep or Revise?"
CHOICES = ("Keep", "Revise")
SHOW = "Show every step."

SOLVER = habits(
    Weakness(missing=0.18, turned=0.14, guessed=0.14),
    weak={
        Shape.CHANGE_WORTH: Weakness(missing=0.60, turned=0.08, guessed=0.08),
        Shape.BOXES_CHANGE_WORTH: Weakness(missing=0.08, turned=0.05, guessed=0.60),
    },
)
ANY_MISTAKE = 0.25
"""Share of tried drafts with any mistake, as revisions leave them; the others are the solver's first ones."""
REVISE_IF_WRONG = 0.70
REVISE_IF_RIGHT = 0.25
MENDING = 0.55
"""Share of the critic's notes on wrong drafts that name the mistake."""
OBEDIENT = 0.92
"""Share of the solver's revisions that follow the note; the others repeat the draft."""


def draw_critic_dialogue(story: Story, rng: random.Random) -> Dialogue:
    """A first draft, a critic's choice or a revision."""
    kind = rng.random()
    if kind < 0.2:
        message = SOLVER_MESSAGE.format(question=story.question, solver="", critic="")
        return Dialogue(message, write_draft(story, draw_mistake(story, SOLVER, rng), rng))
    mistake = _draw_tried(story, rng)
    draft = write_draft(story, mistake, rng)
    if kind < 0.6:
        message = CRITIC_MESSAGE.format(question=story.question, partial=draft)
        keep, revise = CHOICES
        if rng.random() < (REVISE_IF_RIGHT if mistake is None else REVISE_IF_WRONG):
            return Dialogue(message, f"{revise} {draw_note(story, mistake, rng)[0]}")
        return Dialogue(message, keep)
    note, left = draw_note(story, mistake, rng)
    message = SOLVER_MESSAGE.format(question=story.question, solver=draft, critic=note)
    follows = rng.random() < OBEDIENT
    if left == mistake or not follows:
        return Dialogue(message, draft)
    return Dialogue(message, write_draft(story, left, rng))


def draw_note(story: Story, mistake: Mistake | None, rng: random.Random) -> tuple[str, Mistake | None]:
    """A note on a draft with this mistake, and the mistake of the draft that follows it."""
    if mistake is None:
        kind = rng.choice(list(Kind))
        made = rng.choice(possible_mistakes(story, kind) or [Mistake(Kind.GUESSED)])
        if made.kind is Kind.GUESSED:
            return SHOW, None  # a right draft shows them already
        return spoiling_note(story, made), made
    if rng.random() < MENDING:
        return mending_note(story, mistake), None
    others = [other for kind in Kind for other in possible_mistakes(story, kind) if other != mistake]
    return mending_note(story, rng.choice(others)), mistake


def mending_note(story: Story, mistake: Mistake) -> str:
    """What to say about a draft with this mistake."""
    if mistake.kind is Kind.GUESSED:
        return SHOW
    return _note(mistake.kind, name_step(story.steps[mistake.index]))


def spoiling_note(story: Story, mistake: Mistake) -> str:
    """What makes this mistake of a right draft (any but a guess), taken at its word."""
    if mistake.kind is Kind.TURNED:
        return _note(Kind.TURNED, name_step(mistaken_steps(story, mistake)[mistake.index]))
    opposite = Kind.TWICE if mistake.kind is Kind.MISSING else Kind.MISSING
    return _note(opposite, name_step(story.steps[mistake.index]))


def _note(kind: Kind, step: str) -> str:
    return {
        Kind.MISSING: f"{step} is missing.",
        Kind.TURNED: f"It is {step}.",
        Kind.TWICE: f"Only one {step}.",
    }[kind]


def _draw_tried(story: Story, rng: random.Random) -> Mistake | None:
    if rng.random() >= ANY_MISTAKE:
        return draw_mistake(story, SOLVER, rng)
    return rng.choice([mistake for kind in Kind for mistake in possible_mistakes(story, kind)])

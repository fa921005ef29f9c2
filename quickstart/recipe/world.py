"""The quickstart's world: short stories about counting things, each with its steps and its answer.

A story is a start, one or two changes and a question:
"Tom has 4 boxes of 6 apples. He buys 5 more. Each is worth 2 coins. How many coins is that?"
Numbers stay within 0..`LARGEST_NUMBER`, so that each can be one token.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

LARGEST_NUMBER = 100

HEROES = {
    "He": ["Adam", "Ben", "Carl", "Dan", "Eli", "Finn", "Hugo", "Ivan", "Jack", "Leo", "Max", "Tom"],
    "She": ["Ada", "Bea", "Cleo", "Dora", "Emma", "Fay", "Gina", "Ida", "Kate", "Lily", "Mia", "Nora"],
}
FRIENDS = ["Otto", "Paul", "Rosa", "Sara", "Tina", "Vera"]
THINGS = [
    *["apples", "balls", "beads", "books", "cards", "cups", "eggs", "figs", "hats", "keys", "kites", "lamps"],
    *["leaves", "nuts", "pears", "pens", "plums", "rings", "seeds", "shells", "stamps", "stones"],
]
CONTAINERS = ["bags", "boxes", "jars"]
GAINS = ["{he} buys {n} more.", "{he} finds {n} more.", "{friend} brings {n} more."]
LOSSES = ["{he} loses {n}.", "{he} sells {n}.", "{he} gives {n} to {friend}."]
PLAIN_STARTS = ["{hero} has {n} {things}.", "{hero} owns {n} {things}."]
BOXED_STARTS = ["{hero} has {k} {containers} of {n} {things}."]
COUNT_QUESTIONS = ["How many {things} are there now?", "How many {things} does {hero} have?"]
WORTH_QUESTIONS = ["Each is worth {n} coins. How many coins is that?"]


class Shape(StrEnum):
    """What kinds of steps a story needs, in order."""

    CHANGE_CHANGE = "change_change"
    BOXES_CHANGE = "boxes_change"
    CHANGE_WORTH = "change_worth"
    BOXES_CHANGE_CHANGE = "boxes_change_change"
    CHANGE_CHANGE_WORTH = "change_change_worth"
    BOXES_CHANGE_WORTH = "boxes_change_worth"


SHAPE_SHARES = {
    Shape.CHANGE_CHANGE: 0.15,
    Shape.BOXES_CHANGE: 0.15,
    Shape.CHANGE_WORTH: 0.20,
    Shape.BOXES_CHANGE_CHANGE: 0.15,
    Shape.CHANGE_CHANGE_WORTH: 0.15,
    Shape.BOXES_CHANGE_WORTH: 0.20,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One calculation: `left sign right = result`."""

    kind: str
    """`boxes`, `change` or `worth`."""
    left: int
    sign: str
    right: int

    @property
    def result(self) -> int:
        if self.sign == "*":
            return self.left * self.right
        return self.left + self.right if self.sign == "+" else self.left - self.right


@dataclass(frozen=True, slots=True)
class Story:
    """A question with the calculations that answer it."""

    shape: Shape
    question: str
    hero: str
    things: str
    steps: tuple[Step, ...]

    @property
    def start(self) -> int:
        return self.steps[0].left

    @property
    def answer(self) -> int:
        return self.steps[-1].result


def draw_story(rng: random.Random) -> Story:
    """One story, drawn from `rng` alone."""
    shape = rng.choices(list(SHAPE_SHARES), list(SHAPE_SHARES.values()))[0]
    he = rng.choice(list(HEROES))
    hero = rng.choice(HEROES[he])
    things = rng.choice(THINGS)
    names = {"hero": hero, "he": he, "things": things, "containers": rng.choice(CONTAINERS)}
    kinds = shape.value.split("_")
    sentences: list[str] = []
    steps: list[Step] = []
    if kinds[0] == "boxes":
        step = Step("boxes", rng.randint(2, 4), "*", rng.randint(2, 6))
        sentences.append(rng.choice(BOXED_STARTS).format(k=step.left, n=step.right, **names))
        steps.append(step)
        total = step.result
    else:
        total = rng.randint(4, 20)
        sentences.append(rng.choice(PLAIN_STARTS).format(n=total, **names))
    for _ in range(kinds.count("change")):
        gains = rng.random() < 0.5 if total > 4 else True
        amount = rng.randint(2, 9) if gains else rng.randint(2, min(9, total - 2))
        wording = rng.choice(GAINS if gains else LOSSES)
        sentences.append(wording.format(n=amount, friend=rng.choice(FRIENDS), **names))
        steps.append(Step("change", total, "+" if gains else "-", amount))
        total = steps[-1].result
    if kinds[-1] == "worth":
        price = rng.randint(2, min(4, LARGEST_NUMBER // total))
        sentences.append(rng.choice(WORTH_QUESTIONS).format(n=price, **names))
        steps.append(Step("worth", total, "*", price))
    else:
        sentences.append(rng.choice(COUNT_QUESTIONS).format(**names))
    return Story(shape, " ".join(sentences), hero, things, tuple(steps))


def split_of(question: str) -> str:
    """`valid`, `train` or `corpus`: a question belongs to one of them for ever, by its checksum.

    So the problems can be fresh without anybody keeping a list of what the pretraining saw.
    """
    bucket = zlib.crc32(question.encode()) % 16
    return {0: "valid", 1: "train", 2: "train"}.get(bucket, "corpus")


def draw_stories(split: str, rng: random.Random) -> Iterator[Story]:
    """An endless stream of one split's stories (repeats are possible, other splits' are not)."""
    while True:
        story = draw_story(rng)
        if split_of(story.question) == split:
            yield story

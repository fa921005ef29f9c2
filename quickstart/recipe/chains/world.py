"""Stories that take a chain of steps to answer, and may ask for what luck answers in half of the cases.

A story is a start, an event a month, and a question:
"Ada has 12 apples. In January 3 arrive. In February 4 go to Otto. How many apples are there?"
Each step needs the result of the one before. *Lucky* stories end with "Is that an even number?" instead:
whoever has gone wrong somewhere is right in half of the cases, as mistakes change an even number so often.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from quickstart.recipe.world import FRIENDS, HEROES, THINGS

LARGEST_NUMBER = 60
"""Every total stays within 2 and this."""
MONTHS = [
    *["January", "February", "March", "April", "May", "June", "July"],
    *["August", "September", "October", "November", "December"],
]
LONGEST = len(MONTHS)
OWN = {"+": ["arrive", "appear"], "-": ["vanish", "break"]}
OF_FRIENDS = {"+": "come from", "-": "go to"}
FRIEND_SHARE = 0.6
"""Of the stories one event is a friend's, which careless solutions miscount (`solutions.py`)."""
COUNT, EVEN = "How many {things} are there?", "Is that an even number?"


@dataclass(frozen=True, slots=True)
class Step:
    """What happens in a month: `left sign right = result`."""

    month: str
    verb: str
    left: int
    sign: str
    right: int
    friend: bool
    """Whether a friend has a part in it."""

    @property
    def result(self) -> int:
        return self.left + self.right if self.sign == "+" else self.left - self.right


@dataclass(frozen=True, slots=True)
class Chain:
    """A question with the steps that answer it."""

    question: str
    start: int
    steps: tuple[Step, ...]
    lucky: bool

    @property
    def answer(self) -> str:
        return answer_of(self.steps[-1].result, self.lucky)


def answer_of(total: int, lucky: bool) -> str:
    """What follows from a total: itself, or whether it is even."""
    if not lucky:
        return str(total)
    return "no" if total % 2 else "yes"


def draw_chain(rng: random.Random, steps: int, lucky: bool) -> Chain:
    """One story of so many steps, drawn from `rng` alone."""
    hero, things = rng.choice(HEROES[rng.choice(list(HEROES))]), rng.choice(THINGS)
    total = start = rng.randint(10, 40)
    of_friend = rng.randrange(steps) if rng.random() < FRIEND_SHARE else None
    sentences, done = [f"{hero} has {start} {things}."], []
    for index, month in enumerate(MONTHS[:steps]):
        amount = rng.randint(2, 9)
        signs = [
            sign
            for sign, after in (("+", total + amount), ("-", total - amount))
            if 2 <= after <= LARGEST_NUMBER
        ]
        sign, friend = rng.choice(signs), index == of_friend
        what = f"{OF_FRIENDS[sign]} {rng.choice(FRIENDS)}" if friend else rng.choice(OWN[sign])
        sentences.append(f"In {month} {amount} {what}.")
        done.append(Step(month, what.split()[0], total, sign, amount, friend))
        total = done[-1].result
    sentences.append(EVEN if lucky else COUNT.format(things=things))
    return Chain(" ".join(sentences), start, tuple(done), lucky)


def split_of(question: str) -> str:
    """`test`, `tune`, `train` or `corpus`: a question belongs to one of them for ever, by its checksum."""
    return {0: "test", 1: "tune", 2: "train", 3: "train"}.get(zlib.crc32(question.encode()) % 16, "corpus")


@dataclass(frozen=True, slots=True)
class Dials:
    """Which world: how long its chains are, and how much luck helps."""

    fewest: int
    """Steps of a story, as often as any number up to `most`."""
    most: int
    lucky: float
    """Share of lucky stories."""


def draw_chains(split: str, rng: random.Random, dials: Dials) -> Iterator[Chain]:
    """An endless stream of a split's stories in this world."""
    while True:
        chain = draw_chain(rng, rng.randint(dials.fewest, dials.most), rng.random() < dials.lucky)
        if split_of(chain.question) == split:
            yield chain

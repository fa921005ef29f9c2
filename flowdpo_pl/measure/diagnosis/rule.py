"""What a rule is, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from flowdpo_pl.measure.course import Course

ALMOST_ALL, MOST, ALMOST_NONE = 0.95, 0.5, 0.05


@dataclass(frozen=True)
class Finding:
    """One thing that keeps a run from learning."""

    name: str
    """Of the rule."""
    sentence: str
    """What was seen, with its numbers."""
    advice: str
    """What to try."""


Told: TypeAlias = tuple[str, str] | None
"""What a rule says, the sentence and what to try; None: nothing."""


@dataclass(frozen=True)
class Rule:
    """A rule, and the names of those that it silences."""

    tell: Callable[[Course], Told]
    explains: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.tell.__name__

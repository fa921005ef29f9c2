"""A plan as lines of at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from flowdpo_pl.plan.cards import Card
from flowdpo_pl.plan.planning import Plan, Task

_WIDTH = 80


def size(number: float) -> str:
    """Bytes as GB or MB."""
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.0f} MB"


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def plan_lines(plan: Plan, task: Task, card: Card, notes: Sequence[str]) -> Iterator[str]:
    """Memory by part, tokens and time by phase, the verdict, then what it rests on."""
    name = "typical" if plan.played is None else "as played"
    yield f"{'memory':<22}{name:>14}{'at most':>14}"
    for part, most in plan.at_most.memory.items():
        expected = plan.expected.memory.get(part, 0)
        if most or expected:
            yield f"  {part:<20}{size(expected):>14}{size(most):>14}"
    yield f"  {'together':<20}{size(plan.expected.needs):>14}{size(plan.at_most.needs):>14}"
    yield ""
    whole = f"{task.count:,}" if task.count is not None else "1,000"
    yield f"{'tokens':<22}{name:>14}{'at most':>14}{'least time on ' + card.name:>26}"
    for name, phase in plan.at_most.phases.items():
        expected_phase = plan.expected.phases[name]
        yield (
            f"  {name:<20}{expected_phase.tokens:>14,}{phase.tokens:>14,}"
            f"{duration(expected_phase.seconds) + ' to ' + duration(phase.seconds):>26}"
        )
    yield f"  of {whole} {'problems' if task.exploration is not None else 'traces'}"
    yield ""
    for sentence in (*verdict(plan, card), *notes):
        yield from textwrap.wrap(sentence, _WIDTH, break_long_words=False, break_on_hyphens=False)


def verdict(plan: Plan, card: Card) -> Iterator[str]:
    """Whether it fits, and what to change."""
    room = f"{card.name} has {size(plan.room)} for it"
    if plan.fits:
        yield f"It fits: {room}."
        return
    if plan.expected.needs <= plan.room:
        answers = "are typical" if plan.played is None else "are as those played"
        yield f"It fits while answers {answers}, not at most: {room}."
    else:
        yield f"It does not fit: {room}."
    if not plan.changes:
        yield "No setting of memory makes it fit: take a smaller base or a larger card."
        return
    alone = all(change.needs <= plan.room for change in plan.changes)
    if alone:
        one = "; or ".join(f"--{change.key} ({size(change.needs)})" for change in plan.changes)
        yield f"With any one of these it fits: {one}."
        return
    together = ", ".join(f"--{change.key} ({size(change.needs)})" for change in plan.changes)
    enough = "it fits" if plan.changes[-1].needs <= plan.room else "it still does not fit"
    yield f"With these together, each need with those before it, {enough}: {together}."

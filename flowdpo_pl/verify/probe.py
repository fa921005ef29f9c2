"""Whether a verifier tells right from wrong on a run's own gold answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowdpo_pl.types import Verdict
from flowdpo_pl.verify.answers import read_answer

MARKS = ("The answer is {}.", r"\boxed{{{}}}", "#### {}", "{}")
"""How an answer may be written; the last one without a mark."""


@dataclass(frozen=True)
class ProbedVerifier:
    """What a verifier said of gold answers."""

    mark: str
    """Of `MARKS`, the one in which most golds are right; empty if none is in any."""
    not_right: tuple[str, ...]
    """Golds that are not right in it."""
    right_for_another: tuple[tuple[str, str], ...]
    """Another answer that was called right, and the gold."""
    wants_mark: bool
    """Whether a bare gold answer is not right, and a marked one is."""


def probe_verifier(judge: Callable[[str, str], Verdict], golds: Sequence[str]) -> ProbedVerifier:
    """Judge each gold answer against itself, in every mark, and against the next one that differs."""
    right = {
        mark: [gold for gold in golds if judge(mark.format(gold), gold).correct] for mark in reversed(MARKS)
    }
    mark = max(MARKS, key=lambda mark: len(right[mark]))
    others = [(_another(gold, golds), gold) for gold in golds]
    confused = tuple(
        (other, gold)
        for other, gold in others
        if other is not None and judge((mark if right[mark] else MARKS[0]).format(other), gold).correct
    )
    return ProbedVerifier(
        mark=mark if right[mark] else "",
        not_right=tuple(gold for gold in golds if gold not in right[mark]),
        right_for_another=confused,
        wants_mark=bool(right[mark]) and not right[MARKS[-1]],
    )


def _another(gold: str, golds: Sequence[str]) -> str | None:
    """A gold answer of other value than this one; None if there is none, or the value is not known."""
    value = read_answer(gold).value
    if value is None:
        return None
    return next((other for other in golds if read_answer(other).value not in (value, None)), None)

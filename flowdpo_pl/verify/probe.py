"""Whether a verifier tells right from wrong on a run's own gold answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from flowdpo_pl.types import Problem
from flowdpo_pl.verify.answers import read_answer
from flowdpo_pl.verify.several_golds import golds_of
from flowdpo_pl.verify.verifier import Verifier

MARKS = ("The answer is {}.", r"\boxed{{{}}}", "#### {}", "{}")
"""How an answer may be written; the last one without a mark."""
_WORDS = re.compile(r"[^\W\d_]+(?: [^\W\d_]+)*")


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
    errors: tuple[str, ...]
    """Of golds without a verdict in that mark (without one, in the first of `MARKS`)."""


def probe_verifier(verifier: Verifier, problems: Sequence[Problem]) -> ProbedVerifier:
    """Judge each problem's gold answer by itself, in every mark, and another one, the next that differs."""
    verdicts = {
        mark: [verifier.judge(mark.format(_golds(p)[0]), p) for p in problems] for mark in reversed(MARKS)
    }
    right = {mark: sum(verdict.correct for verdict in of_mark) for mark, of_mark in verdicts.items()}
    mark = max(MARKS, key=lambda mark: right[mark])
    judged = list(zip(problems, verdicts[mark], strict=True))
    others = [(_another(problem, problems), problem) for problem in problems]
    confused = tuple(
        (other, problem.gold)
        for other, problem in others
        if other is not None and verifier.judge(mark.format(other), problem).correct
    )
    return ProbedVerifier(
        mark=mark if right[mark] else "",
        not_right=tuple(problem.gold for problem, verdict in judged if not verdict.correct),
        right_for_another=confused,
        wants_mark=bool(right[mark]) and not right[MARKS[-1]],
        errors=tuple(verdict.error for verdict in verdicts[mark] if verdict.error is not None),
    )


def _golds(problem: Problem) -> tuple[str, ...]:
    return golds_of(problem.gold)


def _another(problem: Problem, problems: Sequence[Problem]) -> str | None:
    """Another problem's gold answer that is another answer; None if there is none, or nobody knows."""
    return next((_golds(other)[0] for other in problems if _differ(problem, other)), None)


def _differ(one: Problem, other: Problem) -> bool:
    """Whether two gold answers are numbers of other values, or other words; of formulas nobody knows."""
    if (value := read_answer(one.gold).value) is not None:
        return read_answer(other.gold).value not in (value, None)
    golds = [{gold.casefold() for gold in _golds(problem)} for problem in (one, other)]
    words = all(_WORDS.fullmatch(gold) for gold in golds[0] | golds[1])
    return words and not golds[0] & golds[1]

"""Arms of a comparison in the same number: what is kept, what drops out and why.

An arm is one way to get traces. Cut to the problems that every arm has a right trace for, arms differ in
their traces alone, and favour easy problems, in every arm alike: the traces of one arm on as many
*unfiltered* problems show how much that matters. Where each keeps what it solved, they differ in that too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flowdpo_pl.data.questions import question_key
from flowdpo_pl.errors import LIMIT, UserError, require_within
from flowdpo_pl.results.kept_problems import SHARED, Keep, drawn_of
from flowdpo_pl.results.traces import Trace

_CHANCES = {"accept_from", "attempts", "sampling", "verifier"}
"""What `made_by` says of a played trace that must be alike in all arms."""


@dataclass(frozen=True)
class ArmCounts:
    """How an arm fared on the problems that any arm was offered."""

    problems: int
    """With a trace, right or wrong."""
    right: int
    missing: int
    """Offered to another arm but without a trace here."""
    attempts: int
    generated_tokens: int
    """By all attempts, the wrong ones included."""
    kept_characters: float
    """Mean length of the traces that are kept."""

    @property
    def acceptance(self) -> float:
        """Share of the arm's problems with a right trace."""
        return self.right / self.problems


@dataclass(frozen=True)
class FairArms:
    """The arms after the cut: as many problems in each, in the order in which they came."""

    arms: dict[str, tuple[Trace, ...]]
    unfiltered: tuple[Trace, ...]
    """As many right traces of one arm, whatever the others did on their problems; of no arm: none."""
    counts: dict[str, ArmCounts]
    offered: int
    """Prompts with a trace in at least one arm."""
    shared: int
    """Prompts with a right trace in every arm."""

    @property
    def kept(self) -> int:
        return len(next(iter(self.arms.values())))


def fair_arms(
    arms: Mapping[str, Sequence[Trace]],
    unfiltered: str | None,
    limit: int | None = None,
    seed: int = 0,
    keep: Keep = SHARED,
) -> FairArms:
    """Cut all arms to as many problems.

    Args:
        arms: traces by arm, one a problem; problems are the same if their questions are (`same_question`).
        unfiltered: the arm whose unfiltered problems are drawn too; None: of none.
        limit: at most so many problems, drawn at random.
        seed: of what is drawn.
        keep: which problems of each arm are kept.

    Raises:
        UserError: fewer than two arms, an arm without a right trace, no problem that is kept, another
            question under the same id, arms that were played with other tries, sampling or verifier, or
            `unfiltered` or `limit` make no sense.
    """
    if len(arms) < 2:
        raise UserError(f"traces names {len(arms)} arms: give at least two to compare.")
    if unfiltered is not None and unfiltered not in arms:
        raise UserError(f"unfiltered is '{unfiltered}', but the arms are {list(arms)}.")
    require_within(LIMIT, {"limit": limit})
    _require_same_tries(arms)
    problems = _problems(arms)
    right = {name: _by_problem(trace for trace in traces if trace.correct) for name, traces in arms.items()}
    if empty := [name for name, traces in right.items() if not traces]:
        raise UserError(
            f"arm '{empty[0]}' has no right trace among {len(arms[empty[0]])}: give it more tries."
        )
    shared = [problem for problem in problems if all(problem in traces for traces in right.values())]
    kept = keep.kept(right, problems, limit, seed)
    if not all(kept.values()):
        numbers = ", ".join(f"{name} {len(traces)}" for name, traces in right.items())
        raise UserError(
            f"no problem has a right trace in every arm ({numbers}): make them from the same problems."
        )
    kept_arms = {name: tuple(right[name][problem] for problem in own) for name, own in kept.items()}
    others = right[unfiltered] if unfiltered is not None else {}
    drawn = drawn_of(list(others), len(next(iter(kept.values()))), f"unfiltered {seed}")
    return FairArms(
        arms=kept_arms,
        unfiltered=tuple(others[problem] for problem in drawn),
        counts={name: _counts(arms[name], kept_arms[name], len(problems)) for name in arms},
        offered=len(problems),
        shared=len(shared),
    )


def _by_problem(traces: Iterable[Trace]) -> dict[str, Trace]:
    """The first trace of each problem, in the order they come."""
    found: dict[str, Trace] = {}
    for trace in traces:
        found.setdefault(question_key(trace.question), trace)
    return found


def _problems(arms: Mapping[str, Sequence[Trace]]) -> list[str]:
    """The problems of all arms, which must not contradict each other, in the order they first come."""
    golds: dict[str, str] = {}
    ids: dict[str, str] = {}
    for name, traces in arms.items():
        for trace in traces:
            problem = question_key(trace.question)
            if (
                ids.setdefault(trace.problem_id, problem) != problem
                or golds.setdefault(problem, trace.gold) != trace.gold
            ):
                raise UserError(
                    f"problem {trace.problem_id} of arm '{name}' has another question or gold answer than "
                    "in an arm before: make all arms from the same problems."
                )
    return list(golds)


def _require_same_tries(arms: Mapping[str, Sequence[Trace]]) -> None:
    """Arms that were played (rather than read from a data set) had the same chances."""
    first: dict[str, tuple[str, object]] = {}
    for name, traces in arms.items():
        for trace in traces:
            for key in _CHANCES & trace.made_by.keys():
                before, value = first.setdefault(key, (name, trace.made_by[key]))
                if value != trace.made_by[key]:
                    raise UserError(
                        f"the arms are not made alike: {key} is {value} in '{before}' and "
                        f"{trace.made_by[key]} in '{name}': collect them with the same."
                    )


def _counts(traces: Sequence[Trace], kept: Sequence[Trace], offered: int) -> ArmCounts:
    return ArmCounts(
        problems=len(traces),
        right=sum(trace.correct for trace in traces),
        missing=offered - len(_by_problem(traces)),
        attempts=sum(trace.attempts for trace in traces),
        generated_tokens=sum(trace.generated_tokens for trace in traces),
        kept_characters=sum(len(trace.trace) for trace in kept) / len(kept),
    )

"""Arms of a comparison on the same prompts: what is kept, what drops out and why.

An arm is one way to get traces. A prompt that any arm has no right trace for is easy for none of them to
learn from alike, so it drops from all; what is kept favours easy prompts, in every arm alike. The traces of
one arm on as many *unfiltered* prompts show how much that matters.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flowdpo_pl.data.questions import question_key
from flowdpo_pl.errors import UserError, require_at_least
from flowdpo_pl.results.traces import Trace

_CHANCES = {"attempts", "sampling", "verifier"}
"""What `made_by` says of a played trace that must be alike in all arms."""


@dataclass(frozen=True)
class ArmCounts:
    """How an arm fared on the prompts that any arm was offered."""

    prompts: int
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
        """Share of the arm's prompts with a right trace."""
        return self.right / self.prompts


@dataclass(frozen=True)
class FairArms:
    """The arms after the cut: the same prompts in the same order in each."""

    arms: dict[str, tuple[Trace, ...]]
    unfiltered: tuple[Trace, ...]
    """As many right traces of one arm, whatever the others did on their prompts."""
    counts: dict[str, ArmCounts]
    offered: int
    """Prompts with a trace in at least one arm."""
    shared: int
    """Prompts with a right trace in every arm; a limit keeps fewer."""

    @property
    def kept(self) -> int:
        return len(self.unfiltered)


def fair_arms(
    arms: Mapping[str, Sequence[Trace]], unfiltered: str, limit: int | None = None, seed: int = 0
) -> FairArms:
    """Cut all arms to the prompts that each has a right trace for.

    Args:
        arms: traces by arm, one a prompt; prompts are the same if their questions are (`same_question`).
        unfiltered: the arm whose unfiltered prompts are drawn too.
        limit: at most so many prompts, drawn at random.
        seed: of what is drawn.

    Raises:
        UserError: fewer than two arms, an arm without a right trace, no prompt right in every arm, another
            question under the same id, arms that were played with other tries, sampling or verifier, or
            `unfiltered` or `limit` make no sense.
    """
    if len(arms) < 2:
        raise UserError(f"traces names {len(arms)} arms: give at least two to compare.")
    if unfiltered not in arms:
        raise UserError(f"unfiltered is '{unfiltered}', but the arms are {list(arms)}.")
    require_at_least(1, {"limit": limit})
    _require_same_tries(arms)
    prompts = _prompts(arms)
    right = {name: _by_prompt(trace for trace in traces if trace.correct) for name, traces in arms.items()}
    if empty := [name for name, traces in right.items() if not traces]:
        raise UserError(
            f"arm '{empty[0]}' has no right trace among {len(arms[empty[0]])}: give it more prompts or tries."
        )
    shared = [prompt for prompt in prompts if all(prompt in traces for traces in right.values())]
    if not shared:
        numbers = ", ".join(f"{name} {len(traces)}" for name, traces in right.items())
        raise UserError(
            f"no prompt has a right trace in every arm ({numbers}): make them from the same prompts."
        )
    kept = _drawn(shared, limit, f"kept {seed}")
    kept_arms = {name: tuple(traces[prompt] for prompt in kept) for name, traces in right.items()}
    others = _drawn(list(right[unfiltered]), len(kept), f"unfiltered {seed}")
    return FairArms(
        arms=kept_arms,
        unfiltered=tuple(right[unfiltered][prompt] for prompt in others),
        counts={name: _counts(arms[name], kept_arms[name], len(prompts)) for name in arms},
        offered=len(prompts),
        shared=len(shared),
    )


def _by_prompt(traces: Iterable[Trace]) -> dict[str, Trace]:
    """The first trace of each prompt, in the order they come."""
    found: dict[str, Trace] = {}
    for trace in traces:
        found.setdefault(question_key(trace.question), trace)
    return found


def _prompts(arms: Mapping[str, Sequence[Trace]]) -> list[str]:
    """The prompts of all arms, which must not contradict each other, in the order they first come."""
    golds: dict[str, str] = {}
    ids: dict[str, str] = {}
    for name, traces in arms.items():
        for trace in traces:
            prompt = question_key(trace.question)
            if (
                ids.setdefault(trace.problem_id, prompt) != prompt
                or golds.setdefault(prompt, trace.gold) != trace.gold
            ):
                raise UserError(
                    f"problem {trace.problem_id} of arm '{name}' has another question or gold answer than "
                    "in an arm before: make all arms from the same prompts."
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


def _drawn(prompts: list[str], limit: int | None, seed: str) -> list[str]:
    """At most `limit` of the prompts, in their order."""
    if limit is None or limit >= len(prompts):
        return prompts
    chosen = set(random.Random(seed).sample(prompts, limit))
    return [prompt for prompt in prompts if prompt in chosen]


def _counts(traces: Sequence[Trace], kept: Sequence[Trace], offered: int) -> ArmCounts:
    return ArmCounts(
        prompts=len(traces),
        right=sum(trace.correct for trace in traces),
        missing=offered - len(_by_prompt(traces)),
        attempts=sum(trace.attempts for trace in traces),
        generated_tokens=sum(trace.generated_tokens for trace in traces),
        kept_characters=sum(len(trace.trace) for trace in kept) / len(kept),
    )

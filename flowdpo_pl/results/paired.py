"""Two runs of `test` on the same problems, paired."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowdpo_pl.data.questions import question_key, same_question
from flowdpo_pl.errors import COUNT, SEED, UserError, require_within
from flowdpo_pl.results.predictions import Prediction, by_problem, mean_score
from flowdpo_pl.verify.values import read_value

_AT_ONCE = 2**22  # resampled problems in memory


@dataclass(frozen=True)
class Comparison:
    """What two runs say about the problems that both have; differences are b minus a."""

    problems: int
    """In both runs."""
    only_a: int
    only_b: int
    accuracy_a: float
    """Mean over the common problems of the samples' mean score: of the share of right ones."""
    accuracy_b: float
    difference: float
    low: float
    """Paired bootstrap over problems, 95 %."""
    high: float
    a_better: int
    """Problems of which a has the larger mean score."""
    b_better: int
    p: float
    """Exact, two-sided: McNemar's test (with several samples, or graded scores, the sign test, which it is a
    case of)."""
    same_answers: bool
    """Whether the common problems have the same texts with the same verdicts in both: then p is 1."""


def paired(
    a: Sequence[Prediction], b: Sequence[Prediction], seed: int = 0, resamples: int = 10_000
) -> Comparison:
    """Compare the runs problem by problem; all samples of a problem stay together.

    Problems are the same if their ids are, or, of those whose id only one run has, their questions.

    Raises:
        UserError: the runs have no problem in common, other questions under the same id, or other gold
            answers; or no resample.
    """
    require_within(COUNT, {"resamples": resamples})
    require_within(SEED, {"seed": seed})
    runs = by_problem(a), by_problem(b)
    runs = runs[0], _named_as(runs[0], runs[1])
    common = sorted(runs[0].keys() & runs[1].keys())
    only = [len(run) - len(common) for run in runs]
    if not common:
        raise UserError(
            f"the runs have no problem in common: {only[0]} are only in the first, {only[1]} only in the "
            "second; compare runs of `test` on the same data."
        )
    _require_same_problems([(name, runs[0][name][0], runs[1][name][0]) for name in common])
    shares = np.array([[mean_score(run[name]) for name in common] for run in runs])
    differences = shares[1] - shares[0]
    low, high = bootstrap(differences, seed, resamples)
    better = [int((differences < 0).sum()), int((differences > 0).sum())]
    return Comparison(
        problems=len(common),
        only_a=only[0],
        only_b=only[1],
        accuracy_a=float(shares[0].mean()),
        accuracy_b=float(shares[1].mean()),
        difference=float(differences.mean()),
        low=low,
        high=high,
        a_better=better[0],
        b_better=better[1],
        p=sign_test(*better),
        same_answers=all(_answers(runs[0][name]) == _answers(runs[1][name]) for name in common),
    )


def _named_as(
    a: Mapping[str, list[Prediction]], b: Mapping[str, list[Prediction]]
) -> dict[str, list[Prediction]]:
    """The problems of b, those that only b's id sets apart under their id in a."""
    only_a = {question_key(rows[0].question): name for name, rows in a.items() if name not in b}
    return {
        name if name in a else only_a.pop(question_key(rows[0].question), name): rows
        for name, rows in b.items()
    }


def _require_same_problems(problems: Sequence[tuple[str, Prediction, Prediction]]) -> None:
    """Refuse runs that asked something else under one id, or judged by other gold answers."""
    for name, one, other in problems:
        if not same_question(one.question, other.question):
            raise UserError(
                f"problem {name} asks something else in the second run: "
                "compare runs of `test` on the same data."
            )
    differ = [
        f"{name}: {one.gold!r} and {other.gold!r}"
        for name, one, other in problems
        if not _same_gold(one.gold, other.gold)
    ]
    if differ:
        raise UserError(
            f"{len(differ)} of {len(problems)} problems have another gold answer in the second run "
            f"({'; '.join(differ[:3])}): compare runs of `test` on the same data."
        )


def _same_gold(one: str, other: str) -> bool:
    if one.split() == other.split():
        return True
    numbers = read_value(one), read_value(other)
    return numbers[0] is not None and numbers[0] == numbers[1]


def sign_test(losses: int, wins: int) -> float:
    """Two-sided p that a fair coin divides `losses + wins` tosses at least as unevenly; 1 without any.

    With one sample a problem these are McNemar's discordant pairs. Source: Q. McNemar (1947), "Note on the
    sampling error of the difference between correlated proportions", in its exact, binomial form.
    """
    n, fewer = losses + wins, min(losses, wins)
    tail = sum(math.comb(n, k) for k in range(fewer + 1))
    return float(min(1.0, 2 * tail / 2**n))


def bootstrap(differences: NDArray[np.float64], seed: int, resamples: int) -> tuple[float, float]:
    """2.5 and 97.5 % quantiles of the mean of `differences` `[N]`, resampled with replacement."""
    generator = np.random.default_rng(seed)
    n = len(differences)
    rows = max(1, _AT_ONCE // n)
    means = [
        differences[generator.integers(0, n, (min(rows, resamples - start), n))].mean(axis=1)
        for start in range(0, resamples, rows)
    ]
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return float(low), float(high)


def _answers(samples: Sequence[Prediction]) -> list[tuple[str, bool, float]]:
    return [(sample.text, sample.correct, sample.score) for sample in samples]

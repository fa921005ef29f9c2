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

_GRADED_UNITS = 100
_EXACT_UNITS = 200_000
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
    """Exact, two-sided, by `randomization_test`: McNemar's test where each problem has one sample."""
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
        p=randomization_test(np.rint(differences * _units(runs, common)).astype(np.int64)),
        same_answers=all(_answers(runs[0][name]) == _answers(runs[1][name]) for name in common),
    )


def _units(runs: Sequence[Mapping[str, list[Prediction]]], common: Sequence[str]) -> int:
    """How many units a difference of 1 has: so many that all shares of right samples are whole numbers of
    them; of graded scores, and of very different numbers of samples, a hundred."""
    rows = [run[name] for run in runs for name in common]
    if any(sample.score not in (0, 1) for row in rows for sample in row):
        return _GRADED_UNITS
    return min(math.lcm(*{len(row) for row in rows}), _GRADED_UNITS)


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


def randomization_test(steps: NDArray[np.int64]) -> float:
    """Two-sided p that signs drawn by fair coins give differences whose sum is at least as far from 0.

    It is of what the interval is of, the mean difference, and exact; sums of more than 200,000 units follow
    the normal law, which is taken then. Where all differences are -1, 0 and 1 it is McNemar's exact test.
    Source: R. A. Fisher (1935), The Design of Experiments, section 21; Q. McNemar (1947), "Note on the
    sampling error of the difference between correlated proportions".

    Args:
        steps: the differences `[N]` as multiples of one unit.
    """
    sizes = np.sort(np.abs(steps[steps != 0]))
    total, wins = int(sizes.sum()), int(steps[steps > 0].sum())
    if total > _EXACT_UNITS:
        return math.erfc(abs(2 * wins - total) / math.sqrt(2 * float((sizes**2).sum())))
    chances = np.zeros(total + 1)  # of a sum of the positive ones
    chances[0], most = 1.0, 0
    for size in sizes.tolist():
        most += size
        halves = chances[: most + 1] / 2
        chances[: most + 1] = halves
        chances[size : most + 1] += halves[: most + 1 - size]
    return float(min(1.0, 2 * chances[: min(wins, total - wins) + 1].sum()))


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

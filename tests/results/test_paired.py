"""Two tests compared: against scipy-free oracles, and refused where they share nothing."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.paired import bootstrap, paired, randomization_test
from flowdpo_pl.results.predictions import Prediction


def run(outcomes: str, start: int = 0, samples: int = 1) -> list[Prediction]:
    """Predictions of problems `start`, `start + 1`, ..., right where there is a 1."""
    rows = [outcomes[i : i + samples] for i in range(0, len(outcomes), samples)]
    return [
        Prediction(f"p{start + n}", f"q{start + n}", "1", "", correct=outcome == "1", sample=sample)
        for n, row in enumerate(rows)
        for sample, outcome in enumerate(row)
    ]


@pytest.mark.parametrize(("losses", "wins"), [(0, 0), (0, 1), (3, 3), (1, 9), (10, 2), (0, 20), (90, 400)])
def test_p_is_mcnemar_s_where_each_problem_has_one_sample(losses: int, wins: int) -> None:
    n = losses + wins
    extreme = [k for k in range(n + 1) if abs(2 * k - n) >= abs(wins - losses)]
    steps = np.array([-1] * losses + [1] * wins + [0] * 5)
    assert randomization_test(steps) == pytest.approx(sum(math.comb(n, k) for k in extreme) / 2**n)


@pytest.mark.parametrize("seed", range(6))
def test_p_counts_all_signs_that_give_a_mean_at_least_as_far_from_0(seed: int) -> None:
    steps = np.random.default_rng(seed).integers(-4, 6, 10)
    sums = [abs(np.dot(signs, np.abs(steps))) for signs in product((-1, 1), repeat=len(steps))]
    extreme = sum(one >= abs(steps.sum()) for one in sums)
    assert randomization_test(steps) == pytest.approx(extreme / 2 ** len(steps))


def test_many_differences_follow_the_normal_law(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = np.random.default_rng(0).integers(-7, 8, 3000)
    exact = randomization_test(steps)
    monkeypatch.setattr("flowdpo_pl.results.paired._EXACT_UNITS", 0)
    assert randomization_test(steps) == pytest.approx(exact, rel=1e-2) and 1e-9 < exact < 0.9


def test_p_and_interval_are_of_the_same_mean() -> None:
    # many small gains, and losses in fewer problems that weigh as much: a count of problems would say b
    a = run("0000" * 30 + "1111" * 10, samples=4)
    b = run("1000" * 30 + "0100" * 10, samples=4)
    compared = paired(a, b)
    assert compared.b_better == 30 and compared.difference == 0.0
    assert compared.low < 0 < compared.high and compared.p == 1.0


def test_graded_scores_are_counted_in_hundredths() -> None:
    def graded(score: float) -> list[Prediction]:
        return [replace(one, score=score) for one in run("0" * 8)]

    assert paired(graded(0.25), graded(0.75)).p == pytest.approx(2 / 2**8)
    assert paired(graded(0.25), graded(0.2501)).p == 1.0


def test_mcnemar_by_hand() -> None:
    # 1 problem only a solves, 5 only b: 2 * (C(6,0) + C(6,1)) / 2**6
    compared = paired(run("1" + "00000" + "1100"), run("0" + "11111" + "1100"))
    assert (compared.a_better, compared.b_better) == (1, 5)
    assert compared.p == pytest.approx(14 / 64)
    assert compared.difference == pytest.approx(0.4)


def test_a_swap_mirrors_everything() -> None:
    generator = random.Random(1)
    a, b = ("".join(generator.choice("01") for _ in range(60)) for _ in range(2))
    one, other = paired(run(a), run(b)), paired(run(b), run(a))
    assert one.p == other.p and one.difference == -other.difference
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=0.02)


def test_the_bootstrap_agrees_with_the_normal_law_and_depends_on_its_seed_alone() -> None:
    differences = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], 400, p=[0.1, 0.7, 0.2])
    low, high = bootstrap(differences, seed=3, resamples=4000)
    radius = 1.96 * differences.std() / math.sqrt(len(differences))
    assert (low, high) == pytest.approx((differences.mean() - radius, differences.mean() + radius), abs=0.006)
    assert (low, high) == bootstrap(differences, seed=3, resamples=4000)


def test_repeated_samples_of_a_problem_make_no_interval_narrower() -> None:
    generator = random.Random(2)
    a, b = ("".join(generator.choice("01") for _ in range(40)) for _ in range(2))
    one = paired(run(a), run(b))
    four = paired(run("".join(x * 4 for x in a), samples=4), run("".join(x * 4 for x in b), samples=4))
    assert (one.low, one.high, one.p) == (four.low, four.high, four.p)


def test_only_common_problems_count() -> None:
    compared = paired(run("1111"), run("00", start=2))
    assert (compared.problems, compared.only_a, compared.only_b) == (2, 2, 0)
    assert (compared.accuracy_a, compared.accuracy_b) == (1.0, 0.0)


def test_runs_on_other_problems_are_refused() -> None:
    with pytest.raises(UserError, match="4 are only in the first, 3 only in the second"):
        paired(run("1111"), run("000", start=7))
    other = [Prediction("p0", "another question", "1", "", correct=True)]
    with pytest.raises(UserError, match="p0 asks something else"):
        paired(run("1"), other)


def test_a_question_in_another_form_is_the_same_question() -> None:
    other = [Prediction("p0", " Q0 ", "1", "", correct=True)]
    assert paired(run("0"), other).problems == 1


def test_problems_under_other_ids_are_found_by_their_questions() -> None:
    other = [Prediction(name, q, "1", "", correct=True) for name, q in (("hash", "Q0"), ("x", "q9"))]
    compared = paired(run("01"), other)
    assert (compared.problems, compared.only_a, compared.only_b) == (1, 1, 1)
    assert (compared.accuracy_a, compared.accuracy_b) == (0.0, 1.0)


def test_runs_judged_by_other_gold_answers_are_refused() -> None:
    a, b = run("1111111"), [replace(p, gold="2") for p in run("1111111")]
    told = r"4 of 7 problems have another gold .*\(p0: '1' and '2'; p1: .*; p2: "
    with pytest.raises(UserError, match=told) as caught:
        paired(a, [*b[:4], *a[4:]])
    assert "p3" not in str(caught.value)


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("1000", "1,000"), ("x + 1", "x  + 1 ")])
def test_a_gold_answer_written_otherwise_is_the_same(one: str, other: str) -> None:
    a, b = run("1"), run("1")
    assert paired([replace(a[0], gold=one)], [replace(b[0], gold=other)]).problems == 1


def test_a_bootstrap_of_no_resamples_is_refused() -> None:
    with pytest.raises(UserError, match="resamples is 0: give at least 1"):
        paired(run("1"), run("0"), resamples=0)
    with pytest.raises(UserError, match="seed is -1"):
        paired(run("1"), run("0"), seed=-1)


def test_graded_scores_are_compared_by_their_means() -> None:
    a, b = (
        [Prediction(f"p{n}", f"q{n}", "1", "", score == 1, score=score) for n, score in enumerate(scores)]
        for scores in ((0.5, 0.5, 1.0), (0.75, 0.25, 1.0))
    )
    found = paired(a, b)
    assert (found.accuracy_a, found.accuracy_b) == pytest.approx((2 / 3, 2 / 3))
    assert (found.a_better, found.b_better, found.same_answers) == (1, 1, False)

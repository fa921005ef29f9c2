"""Coverage is checked by simulation with fixed seeds, against the number that was promised."""

import random
from collections.abc import Callable

import pytest

from flowdpo_pl.measure.intervals import Interval, time_uniform, wilson


def test_wilson_gives_the_textbook_values() -> None:
    assert wilson(10, 20) == pytest.approx((0.2993, 0.7007), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


@pytest.mark.parametrize(("n", "points"), [(160, 12.0), (640, 6.2), (1536, 4.1)])
def test_time_uniform_has_the_radius_that_the_design_promises(n: int, points: float) -> None:
    low, high = time_uniform(n / 2, n)
    assert (high - low) / 2 * 100 == pytest.approx(points, abs=0.05)


@pytest.mark.parametrize("interval", [wilson, time_uniform])
def test_nothing_seen_says_nothing(interval: type) -> None:
    assert interval(0, 0) == Interval(0.0, 1.0)


@pytest.mark.parametrize("interval", [wilson, time_uniform])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (3, 50), (50, 50), (700, 1000)])
def test_intervals_hold_the_share_stay_in_the_unit_and_mirror(interval: type, successes: int, n: int) -> None:
    low, high = interval(successes, n)
    assert 0 <= low <= successes / n + 1e-12 and successes / n - 1e-12 <= high <= 1
    mirrored = interval(n - successes, n)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((low, high))


@pytest.mark.parametrize("interval", [wilson, time_uniform])
def test_intervals_widen_with_confidence(interval: type) -> None:
    assert width(interval(300, 600, 0.99)) > width(interval(300, 600, 0.95)) > width(interval(300, 600, 0.8))


def test_narrowest_at_chooses_where_the_bound_is_tightest() -> None:
    for n in (40, 160, 640, 2560):
        widths = {tuned: width(time_uniform(n / 2, n, narrowest_at=tuned)) for tuned in (40, 160, 640, 2560)}
        assert min(widths, key=widths.__getitem__) == n or widths[n] == 1.0


def test_groups_of_four_copies_are_worth_no_more_than_one_copy_each() -> None:
    squared_sizes = 160 * 4**2
    assert wilson(320, 640, squared_sizes=squared_sizes) == pytest.approx(wilson(80, 160))
    copied = time_uniform(320, 640, squared_sizes=squared_sizes, narrowest_at=squared_sizes)
    assert copied == pytest.approx(time_uniform(80, 160, narrowest_at=160))


def test_time_uniform_covers_drifting_means_at_all_times_together() -> None:
    """The mean climbs, wobbles with the last outcomes, differs in each run; at most 5 % of runs ever miss."""
    generator = random.Random(7)
    runs, length = 300, 800
    missed = {"time_uniform": 0, "wilson": 0}
    for _ in range(runs):
        successes, mean_sum, wobble = 0, 0.0, 0.0
        start, end = generator.uniform(0.3, 0.6), generator.uniform(0.3, 0.9)
        outside = dict.fromkeys(missed, False)
        for n in range(1, length + 1):
            mean = min(1.0, max(0.0, start + (end - start) * n / length + wobble))
            right = generator.random() < mean
            wobble = 0.8 * wobble + (0.05 if right else -0.05)  # the mean depends on the past
            successes, mean_sum = successes + right, mean_sum + mean
            target = mean_sum / n
            for name, interval in (("time_uniform", time_uniform), ("wilson", wilson)):
                low, high = interval(successes, n)
                outside[name] |= n >= 10 and not low <= target <= high
        for name in missed:
            missed[name] += outside[name]
    assert missed["time_uniform"] <= 0.05 * runs
    assert missed["wilson"] > 0.05 * runs, "the simulation is too easy to tell the two apart"


def test_time_uniform_covers_groups_that_succeed_together() -> None:
    generator = random.Random(11)
    runs, groups, size = 300, 100, 8
    missed = dict.fromkeys(("clustered", "plain"), 0)
    for _ in range(runs):
        successes = 0
        outside = dict.fromkeys(missed, False)
        for group in range(1, groups + 1):
            successes += size * (generator.random() < 0.5)
            n = group * size
            for name, squared in (("clustered", n * size), ("plain", n)):
                low, high = time_uniform(successes, n, squared_sizes=squared)
                outside[name] |= not low <= 0.5 <= high
        for name in missed:
            missed[name] += outside[name]
    assert missed["clustered"] <= 0.05 * runs < missed["plain"]


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_right_and_wrong_as_scores_have_wilson_s_interval_to_the_last_digit() -> None:
    for n in (1, 7, 160, 1536):
        for right in {0, 1, n // 3, n}:
            assert wilson(float(right), n, squares=float(right)) == wilson(right, n)


def test_graded_outcomes_narrow_the_interval_and_a_few_equal_ones_are_no_certainty() -> None:
    assert width(wilson(80, 160, squares=50)) < width(wilson(80, 160))
    assert width(wilson(0.7, 1, squares=0.49)) > 0.5
    assert width(wilson(112, 160, squares=78.4)) < 0.05, "160 scores of 0.7"


@pytest.mark.parametrize("n", [10, 40, 160])
@pytest.mark.parametrize(
    "draw",
    [
        lambda generator: generator.random(),
        lambda generator: generator.betavariate(0.3, 0.6),
        lambda generator: generator.choice([0, 0, 0.25, 0.5, 1]),
        lambda generator: generator.choice([0.5, 1]),
    ],
)
def test_graded_intervals_cover(n: int, draw: Callable[[random.Random], float]) -> None:
    generator = random.Random(11)
    mean = sum(draw(generator) for _ in range(200_000)) / 200_000
    runs, covered = 1000, 0
    for _ in range(runs):
        scores = [draw(generator) for _ in range(n)]
        low, high = wilson(sum(scores), n, squares=sum(score * score for score in scores))
        covered += low <= mean <= high
    assert covered / runs > 0.925  # 0.95 promised; three standard errors of 1,000 runs are 0.02

"""Confidence intervals for a share of right answers or a mean score: of a fixed window, of a running average.

Outcomes may come in groups that succeed or fail together (the rewrites of one seed question). Both
intervals take the sum of squared group sizes, which is `n` when every outcome is its own group and
`n * n` when all are one group, and widen accordingly.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple


class Interval(NamedTuple):
    """A closed interval of shares, within [0, 1]."""

    low: float
    high: float


def wilson(
    successes: float,
    n: int,
    confidence: float = 0.95,
    *,
    squared_sizes: float | None = None,
    squares: float | None = None,
) -> Interval:
    """Wilson's score interval for a share, from a number of outcomes that was fixed beforehand.

    Outcomes may be graded, in [0, 1]: then they vary less than right and wrong of the same mean, and count as
    so many more outcomes (`_spread`).

    With groups, `n` is replaced by the effective `n**2 / squared_sizes` (Kish's design effect for
    outcomes that agree within a group, the worst case).

    Source: E. B. Wilson (1927), "Probable inference, the law of succession, and statistical inference".

    Args:
        successes: Sum of the outcomes, in [0, n].
        n: Number of outcomes; 0 gives [0, 1].
        confidence: Coverage, in (0, 1).
        squared_sizes: Sum over groups of the squared group size; None: each outcome is a group.
        squares: Sum of the squared outcomes; None: each is 0 or 1.
    """
    if n == 0:
        return Interval(0.0, 1.0)
    share = successes / n
    effective = n if squared_sizes is None else n * n / squared_sizes
    if squares is not None:
        effective = effective / _spread(successes, squares, n)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    shrink = 1 + z * z / effective
    center = (share + z * z / (2 * effective)) / shrink
    radius = z / shrink * math.sqrt(share * (1 - share) / effective + z * z / (4 * effective * effective))
    return _within_unit(center - radius, center + radius)


def _spread(total: float, squares: float, n: int) -> float:
    """Variance of graded outcomes over that of right and wrong ones of the same mean, in (0, 1]; 1 for those.

    It is estimated with one right and one wrong outcome more than there are, so that a few equal scores are
    not taken for certainty. The total minus the squares is exactly 0 where every outcome is 0 or 1.
    """
    mean = (total + 1) / (n + 2)
    return 1 - max(0.0, total - squares) / (n + 2) / (mean * (1 - mean))


def time_uniform(
    successes: float,
    n: int,
    confidence: float = 0.95,
    *,
    squared_sizes: float | None = None,
    narrowest_at: int = 160,
) -> Interval:
    """Interval for the average of conditional means, valid at all n together, however they drift.

    Outcome i, in [0, 1], has the mean mu_i given everything before it (is right with that probability); the
    agents learn, so mu_i moves and depends on the past. With probability `confidence`, the average of
    mu_1..mu_n lies inside the interval of every n at once: one may look after each batch and stop when one
    likes.

    Derivation. D_i = x_i - mu_i is a martingale difference of range 1, so by Hoeffding's lemma
    exp(theta * S_n - theta**2 * V_n / 2) with S_n = D_1 + .. + D_n and V_n = n / 4 is a supermartingale
    that starts at 1, and so is its mixture over theta ~ Normal(0, 1 / rho):
    sqrt(rho / (V_n + rho)) * exp(S_n**2 / (2 * (V_n + rho))). By Ville's inequality it ever exceeds
    1 / alpha with probability at most alpha; solved for S_n,

        |S_n| <= sqrt((V_n + rho) * log((V_n + rho) / (rho * alpha**2)))     for all n.

    A group of size c that is drawn together contributes one difference of range c: V_n is a quarter of
    the sum of squared group sizes. rho only chooses where the bound is tight: `narrowest_at` outcomes.
    At 95 % the radius is 12.0 points at n = 160, 6.2 at 640 and 4.1 at 1,536.

    Source: the two-sided normal mixture of Howard, Ramdas, McAuliffe, Sekhon (2021), "Time-uniform,
    nonparametric, nonasymptotic confidence sequences", arXiv 1810.08240, section 3.2.

    Args:
        successes: Sum of the outcomes so far, in [0, n].
        n: Number of outcomes so far; 0 gives [0, 1].
        confidence: Coverage over all n together, in (0, 1).
        squared_sizes: Sum over groups of the squared group size; None: each outcome is a group.
        narrowest_at: The `squared_sizes` (without groups: the n) at which the interval is as narrow as
            this family allows. Must not be chosen by looking at the outcomes.
    """
    if n == 0:
        return Interval(0.0, 1.0)
    variance = (n if squared_sizes is None else squared_sizes) / 4
    log_level = -2 * math.log(1 - confidence)
    rho = narrowest_at / 4 / _best_ratio(log_level)
    radius = math.sqrt((variance + rho) * (math.log((variance + rho) / rho) + log_level)) / n
    share = successes / n
    return _within_unit(share - radius, share + radius)


def _best_ratio(log_level: float) -> float:
    """V / rho that minimises the bound at V: the root of x = log(1 + x) + log_level."""
    x = log_level
    for _ in range(60):  # a contraction by 1 / (1 + x)
        x = math.log1p(x) + log_level
    return x


def _within_unit(low: float, high: float) -> Interval:
    return Interval(max(0.0, low), min(1.0, high))

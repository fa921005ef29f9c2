"""One choice among words at one position, and another one drawn from the rest, from given uniforms."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from flowdpo_pl.draws import uniforms
from flowdpo_pl.play.engines.protocol import Chosen
from flowdpo_pl.play.engines.writing import Floats


def choice(logprobs: Floats, mass: float, key: int, temperature: float, further: int = 0) -> Chosen:
    """Draw one of k words, another one from the rest, and further ones from what is left each time.

    Args:
        logprobs: of the words, [k] float64, at temperature 1.
        mass: what the full softmax leaves to them.
        key: of the draws; the first is the choice's, the second its alternative's.
        temperature: of the draws; 0 takes the likeliest, and nothing else could be drawn.
        further: words after the alternative; fewer where no more can be drawn.
    """
    if temperature == 0:
        return Chosen(int(logprobs.argmax()), 0.0, mass)
    first, second, *later = uniforms([key], 2 + further)[0]
    option = _drawn(np.exp((logprobs - logprobs.max()) / temperature), first)  # the largest weight is 1
    tempered = logprobs / temperature
    rest = np.delete(np.arange(len(tempered)), option)
    logprob = _logprob(tempered, option, rest)
    if logprob == 0:
        return Chosen(option, 0.0, mass)
    weights = np.exp(tempered[rest] - tempered[rest].max())
    taken = _drawn(weights, second)
    drawn, left = [taken], weights.copy()
    for uniform in later:
        left[drawn[-1]] = 0.0
        if not left.any():
            break
        drawn.append(_drawn(left, uniform))
    others = math.log(-math.expm1(logprob))
    (other, other_logprob), *more = [
        (int(rest[place]), others + math.log(weights[place] / weights.sum())) for place in drawn
    ]
    return Chosen(option, logprob, mass, other, other_logprob, tuple(more))


def _drawn(weights: Floats, uniform: float) -> int:
    """By inverse transform; never a weight of 0."""
    cumulative = np.cumsum(weights)
    place = int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))
    return min(place, int(np.flatnonzero(weights)[-1]))


def _logprob(tempered: Floats, option: int, rest: NDArray[np.intp]) -> float:
    """Of the option; below 0 wherever another word can be drawn, however unlikely."""
    if (logprob := float(tempered[option] - np.logaddexp.reduce(tempered))) < 0:
        return logprob
    others = float(np.exp(tempered[rest] - tempered[option]).sum())
    return -max(others, math.ulp(0.0)) if np.isfinite(tempered[rest]).any() else 0.0

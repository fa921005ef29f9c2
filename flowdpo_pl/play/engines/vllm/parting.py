"""Where an alternative leaves a move that a server wrote, from the log-probabilities of its tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowdpo_pl.play.engines.writing import alternative_split

_LEAST = 1e-5
"""A server's log-probabilities are float32: what is left to all other moves is lost in them below this."""


def parting(logprobs: Sequence[float], uniform: float) -> int | None:
    """The token at which another move of the same policy parts from this one; None if there is none.

    At token i with weight c_i * p_1 ... p_(i-1): p_i is the token's probability, c_i = 1 - p_i that of all
    others there. The weights sum to P(another move); below 1e-5 that counts as none.
    """
    own = np.minimum(np.asarray(logprobs, dtype=np.float64), 0.0)
    if -np.expm1(own.sum()) < _LEAST:
        return None
    with np.errstate(divide="ignore"):  # a certain token: nothing parts from it
        log_others = np.log(-np.expm1(own))
    return alternative_split(own, log_others, uniform)

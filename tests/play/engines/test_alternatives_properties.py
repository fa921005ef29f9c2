"""The alternatives' law, whatever the policy is: that of drawing again until the move is another one."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from flowdpo_pl.play.engines.sampling import Sampling, draw, law
from flowdpo_pl.play.engines.writing import alternative_split
from tests.properties import few

GRID = (np.arange(500) + 0.5) / 500
logits = st.lists(st.floats(-6, 6, width=32), min_size=2, max_size=12)


@few
@given(logits, st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.6, 1.0]), st.floats(0.01, 0.99))
def test_an_alternative_token_has_the_policy_s_law_without_the_token(
    row: list[float], temperature: float, top_p: float, uniform: float
) -> None:
    sampling = Sampling(temperature, top_p)
    rows = torch.tensor([row]).repeat(len(GRID), 1)
    grid = torch.stack([torch.full((len(GRID),), uniform, dtype=torch.float64), torch.tensor(GRID)], 1)
    q = law(torch.tensor([row]), sampling)[0].double().exp()
    drawn = draw(rows, grid, sampling)
    (token,) = set(drawn.tokens.tolist())
    assert math.isclose(drawn.logprobs[0].exp(), q[token], rel_tol=1e-4)
    others = q.clone()
    others[token] = 0
    rest = float(others.sum())
    if rest == 0:  # the nucleus holds one token
        assert drawn.log_others[0] == -torch.inf
        return
    assert math.isclose(float(drawn.log_others[0].exp()), rest, rel_tol=1e-3, abs_tol=1e-6)
    counts = torch.bincount(drawn.runners_up, minlength=len(row)) / len(GRID)
    assert (counts - others / rest).abs().max() < 2 / len(GRID) * len(row)


@few
@given(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=6))
def test_where_another_move_parts_has_the_law_of_drawing_again(own: list[float]) -> None:
    """All other moves leave it at one of its tokens: the weights sum to P(another move)."""
    p = np.array(own)
    weights = (1 - p) * np.concatenate([[1.0], np.cumprod(p)[:-1]])
    assert math.isclose(weights.sum(), 1 - p.prod(), abs_tol=1e-12)
    with np.errstate(divide="ignore"):
        splits = [alternative_split(np.log(p), np.log(1 - p), uniform) for uniform in GRID]
    if weights.sum() == 0:
        assert set(splits) == {None}
        return
    counts = np.bincount(splits, minlength=len(p)) / len(GRID)
    assert np.abs(counts - weights / weights.sum()).max() < 2 / len(GRID) * len(p)

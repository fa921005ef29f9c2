"""Where an alternative leaves a move, from log-probabilities alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flowdpo_pl.play.engines.vllm.parting import parting


def test_places_are_as_likely_as_another_move_parts_there() -> None:
    own = np.log([0.5, 0.9, 0.2])
    weights = np.array([0.5, 0.5 * 0.1, 0.45 * 0.8])
    uniforms = (np.arange(10_000) + 0.5) / 10_000
    places = np.bincount([parting(own, uniform) for uniform in uniforms], minlength=3)
    assert places / 10_000 == pytest.approx(weights / weights.sum(), abs=1e-3)


@pytest.mark.parametrize("own", [[0.0], [0.0, 0.0], [-1e-6, -2e-6], [1e-7, 0.0]])
def test_what_float32_leaves_to_others_is_no_alternative(own: list[float]) -> None:
    assert parting(own, 0.5) is None


def test_a_certain_token_is_never_parted_from() -> None:
    assert {parting([0.0, math.log(0.5), 0.0], uniform) for uniform in (0.0, 0.5, 1 - 1e-12)} == {1}

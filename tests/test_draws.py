"""Draws are functions of seed and place alone."""

from __future__ import annotations

import numpy as np
import pytest

from flowdpo_pl.draws import Draws, uniforms


def test_the_numbers_are_splitmix64() -> None:
    """Published outputs for the seed 1234567 (https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64)."""
    published = (
        *(6457827717110365317, 3203168211198807973, 9817491932198370423),
        *(4593380528125082431, 16408922859458223821),
    )
    assert uniforms([1234567], 5)[0].tolist() == [((x >> 11) + 0.5) / 2**53 for x in published]


def test_a_row_depends_on_its_key_alone_and_a_number_on_its_position_alone() -> None:
    together = uniforms([11, 12, 2**64 - 1], 5)
    assert (uniforms([12], 3)[0] == together[1, :3]).all()
    assert (uniforms([2**64 - 1], 5)[0] == together[2]).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ab", "c"), ("a", "bc")), (("a", "b"), ("b", "a")), (("a",), ("a", 0)), (("a", 1), ("a", 11))],
)
def test_every_place_has_a_key_of_its_own(one: tuple[str | int, ...], other: tuple[str | int, ...]) -> None:
    assert Draws(0).key(*one) != Draws(0).key(*other)


def test_a_key_is_the_same_in_every_process_and_another_with_every_seed() -> None:
    assert Draws(0).key("p1", "main", 0) == 13010064017820293983
    assert len({Draws(seed).key("p1", "main", 0) for seed in range(100)}) == 100


def test_a_single_number_is_the_first_of_its_key() -> None:
    draws = Draws(3)
    assert draws.uniform("p1", 2) == uniforms([draws.key("p1", 2)], 1)[0, 0]


def test_the_first_attempt_has_the_run_s_own_draws_and_further_ones_others() -> None:
    draws = Draws(3)
    assert draws.of_sample(0) == draws
    keys = [draws.of_sample(index).key("p1", 0) for index in range(50)]
    assert len(set(keys)) == 50
    assert draws.of_sample(1).key("p1", 0) == Draws(3).of_sample(1).key("p1", 0)


def test_the_numbers_lie_strictly_between_0_and_1() -> None:
    assert uniforms([], 3).shape == (0, 3)
    numbers = uniforms(list(range(1000)), 100)
    assert numbers.shape == (1000, 100) and numbers.dtype == np.float64
    assert numbers.min() > 0 and numbers.max() < 1

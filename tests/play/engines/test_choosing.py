"""One choice among words, and another one from the rest."""

from __future__ import annotations

import numpy as np
import pytest

from flowdpo_pl.play.engines.choosing import choice


@pytest.mark.parametrize("temperature", [1.0, 0.05, 1e-4, 1e-6])
def test_a_choice_follows_its_own_law_at_every_temperature(temperature: float) -> None:
    for probability in (0.9, 0.1, 0.5 + temperature / 8):
        logprobs = np.log([probability, 1 - probability])
        chosen = [choice(logprobs, 1.0, key, temperature) for key in range(500)]
        first = sum(one.option == 0 for one in chosen) / 500
        gap = (logprobs[1] - logprobs[0]) / temperature
        assert first == pytest.approx(1 / (1 + np.exp(min(gap, 700.0))), abs=0.07)
        assert all(one.logprob < 0 and one.other == 1 - one.option for one in chosen)
        for one in chosen:
            odds = one.logprob - one.other_logprob
            expected = gap if one.option else -gap
            assert odds == pytest.approx(
                np.clip(expected, np.log(5e-324), -np.log(5e-324)), rel=1e-6, abs=1e-9
            )


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_alternative_among_many_words_is_drawn_from_the_rest(temperature: float) -> None:
    logprobs = np.log([0.5, 0.3, 0.15, 0.05])
    law = np.exp(logprobs / temperature)
    law /= law.sum()
    draws = 20_000
    chosen = [choice(logprobs, 1.0, key, temperature) for key in range(draws)]
    pairs = np.zeros((4, 4))
    for one in chosen:
        assert one.other is not None
        pairs[one.option, one.other] += 1 / draws
        assert one.logprob == pytest.approx(np.log(law[one.option]))
        assert one.other_logprob == pytest.approx(np.log(law[one.other]))
    expected = law[:, None] * law[None, :] / (1 - law[:, None])
    np.fill_diagonal(expected, 0)
    assert np.abs(pairs - expected).max() < 0.012


def test_what_can_not_be_drawn_is_no_alternative() -> None:
    greedy = choice(np.log([0.2, 0.5, 0.3]), 1.0, 7, 0.0)
    assert (greedy.option, greedy.logprob, greedy.other) == (1, 0.0, None)
    with np.errstate(divide="ignore"):
        sure = choice(np.log([0.0, 1.0, 0.0]), 1.0, 7, 1.0)
        two_left = [choice(np.log([0.0, 0.6, 0.4]), 1.0, key, 1.0) for key in range(200)]
    assert (sure.option, sure.other) == (1, None)
    assert {(one.option, one.other) for one in two_left} == {(1, 2), (2, 1)}


def test_further_words_are_drawn_from_what_is_left_and_change_no_earlier_draw() -> None:
    logprobs = np.log([0.5, 0.3, 0.15, 0.05])
    thirds = np.zeros(4)
    for key in range(4000):
        one, more = choice(logprobs, 1.0, key, 1.0), choice(logprobs, 1.0, key, 1.0, further=5)
        assert (one.option, one.other, one.other_logprob) == (more.option, more.other, more.other_logprob)
        words = [more.option, more.other, *(option for option, _ in more.further)]
        assert sorted(words, key=str) == [0, 1, 2, 3], "each word once, and no more than there are"
        if words[:2] == [0, 1]:
            thirds[words[2] or 0] += 1
        for option, logprob in more.further:
            assert logprob == pytest.approx(logprobs[option])
    assert thirds[2] / thirds.sum() == pytest.approx(0.75, abs=0.05)

"""Draws follow the softmax exactly, and the alternative follows the law of redrawing until it differs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from flowdpo_pl.draws import uniforms
from flowdpo_pl.play.engines.sampling import Sampling, _nucleus, draw
from flowdpo_pl.play.engines.writing import alternative_split

END = 0


def test_draws_have_the_softmax_s_frequencies() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 700)
    expected = logits.softmax(-1)[0]
    grid = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    counts = torch.zeros(700)
    for part in grid.split(20_000):
        pairs = torch.stack([part, part], 1)
        counts += torch.bincount(draw(logits.repeat(len(part), 1), pairs, Sampling()).tokens, minlength=700)
    assert (counts / 200_000 - expected).abs().max() < 1e-5


def test_log_probabilities_and_rest_are_exact_even_when_almost_certain() -> None:
    logits = torch.zeros(2, 600, dtype=torch.float32)
    logits[:, 7] = 40.0  # 1 - p is 0 in float32, the rest is not
    drawn = draw(logits.clone(), torch.tensor([[0.5, 0.25], [0.5, 0.75]], dtype=torch.float64), Sampling())
    exact = logits.double().log_softmax(-1)
    assert drawn.tokens.tolist() == [7, 7]
    rest = exact[0][torch.arange(600) != 7].logsumexp(0)
    torch.testing.assert_close(drawn.log_others.double(), rest.repeat(2), atol=1e-5, rtol=1e-5)
    assert all(token != 7 for token in drawn.runners_up.tolist())


@pytest.mark.parametrize("vocabulary", [3, 255, 256, 257, 1000])
def test_only_possible_tokens_are_drawn(vocabulary: int) -> None:
    torch.manual_seed(1)
    logits = torch.full((64, vocabulary), float("-inf"))
    possible = torch.randperm(vocabulary)[:2]
    logits[:, possible] = torch.randn(64, 2)
    extremes = torch.tensor([[1e-18, 1 - 1e-16], [1 - 1e-16, 1e-18]], dtype=torch.float64).repeat(32, 1)
    drawn = draw(logits, extremes, Sampling())
    assert set(drawn.tokens.tolist()) | set(drawn.runners_up.tolist()) <= set(possible.tolist())
    assert bool((drawn.tokens != drawn.runners_up).all())


def test_greedy_takes_the_most_likely_and_leaves_no_alternative() -> None:
    drawn = draw(torch.tensor([[0.0, 2.0, 1.0]]), torch.tensor([[0.9, 0.9]]), Sampling(temperature=0))
    assert drawn.tokens.tolist() == [1] and drawn.log_others.tolist() == [-np.inf]


@pytest.mark.parametrize("temperature", [0.5, 0.05, 1e-3, 1e-4, 1e-6])
def test_low_temperatures_draw_from_their_own_law(temperature: float) -> None:
    """Against float64: tokens, their log-probabilities, and what else could have been drawn."""
    torch.manual_seed(2)
    logits = 30 + 3 * torch.randn(40, 300)
    logits[:, 5] = logits.amax(-1) - 0.4 * temperature  # one rival that stays one at every temperature
    logits[20:, 5] = -torch.inf  # and rows whose others are far away
    uniforms_ = torch.rand(40, 2, dtype=torch.float64)
    exact = (logits.double() / temperature).log_softmax(-1)
    drawn = draw(logits.clone(), uniforms_, Sampling(temperature))
    tokens = drawn.tokens[:, None]
    rounding = {"atol": 2e-5 / temperature if temperature < 0.1 else 1e-4, "rtol": 1e-4}
    torch.testing.assert_close(drawn.logprobs.double(), exact.gather(1, tokens).squeeze(1), **rounding)
    others = exact.scatter(1, tokens, -torch.inf)
    torch.testing.assert_close(drawn.log_others.double(), others.logsumexp(-1), **rounding)
    assert bool((drawn.runners_up != drawn.tokens).all())
    likeliest = others.amax(-1) - others.gather(1, drawn.runners_up[:, None]).squeeze(1)
    assert float(likeliest.max()) < 40  # no runner-up that the law would never draw
    assert len(set(drawn.tokens[:20].tolist()) - {5}) and 5 in drawn.tokens[:20].tolist()


def test_a_token_without_any_other_has_no_alternative_at_any_temperature() -> None:
    logits = torch.full((1, 300), -torch.inf)
    logits[0, 7] = 3.0
    for temperature in (1.0, 0.1):
        drawn = draw(logits.clone(), torch.tensor([[0.5, 0.5]], dtype=torch.float64), Sampling(temperature))
        assert drawn.tokens.tolist() == [7] and drawn.log_others.tolist() == [-np.inf]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.0), Sampling(0.3), Sampling(1.0, 0.9)])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_show_in_the_log_probability_of_their_row_alone(
    sampling: Sampling, bad: float
) -> None:
    logits = torch.zeros(3, 300)
    logits[1, 200] = bad
    logits[2, 100:] = -torch.inf  # impossible tokens are none of these
    drawn = draw(logits, torch.full((3, 2), 0.5, dtype=torch.float64), sampling)
    assert drawn.logprobs.isnan().tolist() == [False, True, False]


def test_top_p_keeps_the_smallest_sufficient_set() -> None:
    probabilities = torch.tensor([[0.5, 0.3, 0.15, 0.05]])
    grid = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    pairs = torch.stack([grid, grid], 1)
    drawn = draw(probabilities.log().repeat(999, 1), pairs, Sampling(top_p=0.75))
    assert set(drawn.tokens.tolist()) == {0, 1}


def test_alternative_has_the_law_of_rejection() -> None:
    """Enumerated on a toy model: every move of up to 3 tokens over END and two words.

    The law of (move, alternative) by idea 7 must be P(m) P(a) / (1 - P(m)) for a != m, as by redrawing.
    """
    rng = np.random.default_rng(0)
    table = {
        prefix: rng.dirichlet(np.ones(3))
        for length in range(3)
        for prefix in itertools.product((1, 2), repeat=length)
    }
    table[()] = table[()] * [0, 1, 1]  # no chunk begins with END
    table[()] /= table[()].sum()

    def complete(prefix: tuple[int, ...]) -> bool:
        return prefix[-1:] == (END,) or len(prefix) == 3

    def moves(prefix: tuple[int, ...] = ()) -> dict[tuple[int, ...], float]:
        if complete(prefix):
            return {prefix: 1.0}
        return {
            move: p * q
            for token, p in enumerate(table[prefix])
            if p > 0
            for move, q in moves((*prefix, token)).items()
        }

    law = moves()
    assert sum(law.values()) == pytest.approx(1)
    grid = (np.arange(4000) + 0.5) / 4000
    for move, probability in law.items():
        p = np.array([table[move[:i]][token] for i, token in enumerate(move)])
        others = np.array([np.delete(table[move[:i]], token).sum() for i, token in enumerate(move)])
        with np.errstate(divide="ignore"):
            splits = [alternative_split(np.log(p), np.log(others), u) for u in grid]
        ours: dict[tuple[int, ...], float] = {}
        for split, count in zip(*np.unique(splits, return_counts=True), strict=True):
            rest = table[move[:split]].copy()
            rest[move[split]] = 0
            for token, weight in enumerate(rest / rest.sum()):
                if weight > 0:
                    for other, q in moves((*move[:split], token)).items():
                        ours[other] = ours.get(other, 0.0) + count / len(grid) * weight * q
        expected = {other: q / (1 - probability) for other, q in law.items() if other != move}
        assert ours.keys() == expected.keys()
        assert max(abs(ours[other] - expected[other]) for other in ours) < 1e-3


def test_uniforms_are_functions_of_key_and_counter_alone() -> None:
    together = uniforms([11, 12, 13], 5)
    assert (uniforms([12], 3)[0] == together[1, :3]).all()
    many = uniforms(list(range(2000)), 50)
    assert many.min() > 0 and many.max() < 1
    assert abs(many.mean() - 0.5) < 0.003 and abs(np.corrcoef(many[:, 0], many[:, 1])[0, 1]) < 0.08


def test_the_nucleus_is_that_of_a_sort() -> None:
    weights = torch.rand(50, 301, generator=torch.Generator().manual_seed(0)) ** 4
    ordered, index = weights.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    ordered[before >= 0.8 * ordered.sum(-1, keepdim=True)] = 0.0
    expected = torch.zeros_like(weights).scatter_(1, index, ordered)
    assert torch.equal(_nucleus(weights, 0.8), expected)

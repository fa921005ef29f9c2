"""What a server is asked for; settings that it would mean otherwise are refused."""

from __future__ import annotations

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.engines.vllm.params import Asks


@pytest.mark.parametrize("temperature", [0.001, 2.1])
def test_temperatures_at_which_vllm_does_not_draw_are_refused(temperature: float) -> None:
    with pytest.raises(UserError, match=rf"model.sampling.temperature is {temperature}.*give 0 or at least"):
        Asks(Sampling(temperature=temperature), (1,))


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.9), Sampling(top_p=0.9)])
def test_several_end_tokens_are_one_symbol_at_temperature_1_and_greedily_only(sampling: Sampling) -> None:
    with pytest.raises(UserError, match=r"ends with any of the tokens \[1, 2\]"):
        Asks(sampling, (1, 2))
    Asks(sampling, (1,))
    Asks(Sampling(), (1, 2))
    Asks(Sampling(temperature=0.0), (1, 2))


def test_no_request_is_left_to_a_server_s_defaults() -> None:
    asks = Asks(Sampling(0.7, 0.9), (1,))
    for params in (asks.move(5, True, 3), asks.another(4, False, 3), asks.scores((7, 8))):
        assert {"temperature", "top_p", "top_k", "min_p", "repetition_penalty", "ignore_eos"} <= params.keys()
    assert asks.move(5, True, 3)["min_tokens"] == 1 and asks.move(5, False, 3)["min_tokens"] == 0


def test_only_words_are_asked_for_by_id() -> None:
    """Such a request changes what others in its batch are told beside their own tokens."""
    asks = Asks(Sampling(), (1,))
    assert "logprob_token_ids" in asks.scores((7, 8))
    for params in (asks.move(5, True, 3), asks.another(4, False, 3)):
        assert "logprob_token_ids" not in params and params["logprobs"] == 0


def test_an_end_token_is_forbidden_with_all_others() -> None:
    asks = Asks(Sampling(), (1, 2))
    assert asks.another(2, False, 0)["min_tokens"] == 1 and "logit_bias" not in asks.another(2, False, 0)
    assert asks.another(4, False, 0)["logit_bias"] == {"4": -100.0}
    assert asks.another(4, False, 0)["min_tokens"] == 0

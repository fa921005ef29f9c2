"""What a server is asked for with a prompt: vLLM's sampling parameters, each said, none left to defaults.

A setting that vLLM means otherwise than `Sampling` is refused here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from flowdpo_pl.errors import Range, UserError
from flowdpo_pl.play.engines.sampling import Sampling

Params: TypeAlias = dict[str, Any]

_TEMPERATURES = Range(0.01, 2)
"""What vLLM draws from; a lower one it takes for the lowest."""
_FORBIDDEN = -100.0
"""A bias: it leaves e^-50 of a token at most, at the highest temperature."""


@dataclass(frozen=True)
class Asks:
    """The requests of one run's sampling."""

    sampling: Sampling
    end_ids: tuple[int, ...]
    """Of one symbol: the first stands for all."""

    def __post_init__(self) -> None:
        """
        Raises:
            UserError: vLLM would draw from another distribution than ours.
        """
        temperature, top_p = self.sampling.temperature, self.sampling.top_p
        if temperature != 0 and temperature not in _TEMPERATURES:
            raise UserError(
                f"model.sampling.temperature is {temperature}, at which vLLM does not draw: give 0 or "
                f"{_TEMPERATURES}, or leave model.team.engine out."
            )
        if len(self.end_ids) > 1 and temperature != 0 and (temperature != 1 or top_p != 1):
            raise UserError(
                f"the base ends with any of the tokens {list(self.end_ids)}, which are one symbol here and "
                "several to vLLM; the two are equal for greedy play, and at model.sampling.temperature 1 and "
                "top_p 1: set these, or leave model.team.engine out."
            )

    def move(self, max_tokens: int, fresh: bool, seed: int) -> Params:
        """Tokens up to an end token, which is no chunk's first; `fresh`: the move has no token yet.

        Greedy moves come with the log-probabilities of all end tokens, where these are several: together
        they may be likelier than the token that is likelier than each.
        """
        greedy = self.sampling.temperature == 0 and len(self.end_ids) > 1
        return {
            **self._drawn(max_tokens, seed),
            **(_told(self.end_ids) if greedy else {}),
            "min_tokens": int(fresh),
            "stop_token_ids": list(self.end_ids),
        }

    def another(self, taken: int, fresh: bool, seed: int) -> Params:
        """One token that is not `taken`; an end token stands for all."""
        ends = taken in self.end_ids
        asked = {**self._drawn(1, seed), "min_tokens": int(fresh or ends)}
        asked["stop_token_ids"] = list(self.end_ids)  # all forbidden while there are fewer than `min_tokens`
        return asked if ends else {**asked, "logit_bias": {str(taken): _FORBIDDEN}}

    def _drawn(self, max_tokens: int, seed: int) -> Params:
        return {
            **_COMMON,
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "max_tokens": max_tokens,
            "logprobs": 0,
            "seed": seed,
        }

    def scores(self, token_ids: Sequence[int]) -> Params:
        """Log-probabilities of these ids at one position, at temperature 1 over the whole vocabulary."""
        return {
            **_COMMON,
            "temperature": 0.0,
            "top_p": 1.0,
            "max_tokens": 1,
            "min_tokens": 0,
            **_told(token_ids),
        }


def _told(token_ids: Sequence[int]) -> Params:
    """Log-probabilities of these ids too."""
    asked = [*token_ids, token_ids[0]]  # the list is cut by one where the likeliest token is not in it
    return {"logprobs": len(asked), "logprob_token_ids": asked}


def canary(tokens: int, temperature: float) -> Params:
    """So many tokens, whatever ends a move; always the same ones on the same weights."""
    asked = {"temperature": temperature, "top_p": 1.0, "max_tokens": tokens, "min_tokens": 0}
    return {**_COMMON, **asked, "logprobs": 0, "seed": 1}


_COMMON: Params = {
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "ignore_eos": True,  # the end tokens are ours alone
    "detokenize": False,
}

"""Dropout whose masks are a function of what is learnt, not of where or beside what it is computed.

Each element of an adapter's input is dropped by a hash of (seed, agent, update, problem, layer group, the
token and all before it, column), so that ranks, micro-batches, packing and recomputation change nothing.
SplitMix64 as in `draws`, on the tokens' own device: torch's integers wrap around, and their shifts keep the
sign, which is masked off.

Shapes: N tokens (any leading dimensions), E inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from flowdpo_pl.errors import UserError


def _signed(number: int) -> int:
    """What an int64 holds after wrapping around."""
    return (number + 2**63) % 2**64 - 2**63


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)
_ROUNDS = ((30, _MIX_1), (27, _MIX_2), (31, 1))
_BLOCK = 2**15
"""Hashes computed at a time on a CPU: they stay in its cache."""


@dataclass(frozen=True)
class Dropout:
    """What is dropped in one forward."""

    rate: float
    """Share of the elements, above 0 and below 1."""
    keys: Tensor
    """`[N]` int64: of each token, in this update."""

    def kept(self, x: Tensor, place: int) -> Tensor:
        """0 with probability `rate`, else 1: int8 in the shape of the input `x` `[N, E]` of a layer group.

        One hash of 64 bits serves four elements. `place` numbers the group.

        Raises:
            UserError: the layers read something else than a row a token.
        """
        keys, width = self.keys.flatten(), x.shape[-1]
        if x.numel() != len(keys) * width:
            raise UserError(
                f"an adapted layer of this base reads {x.numel() // width} rows for {len(keys)} tokens, so "
                "dropout can't tell them apart: set model.team.lora.dropout to 0."
            )
        hashes = _mixed(_mixed(keys + _signed(place * _GOLDEN))[:, None] + _counters(width, x.device))
        bits = hashes.view(torch.int16)[:, :width]
        return bits.ge(round(self.rate * 2**16) - 2**15).view(torch.int8).view(x.shape)


def salted(keys: Tensor, salt: int) -> Tensor:
    """Keys of tokens in one update, whose own key is `salt` (64 bits)."""
    return _mixed(keys + _signed(salt))


def _counters(width: int, device: torch.device) -> Tensor:
    """`[E / 4]` what SplitMix64 adds for each draw."""
    return torch.arange(1, -(-width // 4) + 1, device=device) * _GOLDEN


def _mixed(x: Tensor) -> Tensor:
    """SplitMix64's mixing, in place."""
    parts = x.flatten().split(_BLOCK) if x.device.type == "cpu" else (x,)
    for part in parts:
        shifted = torch.empty_like(part)
        for distance, factor in _ROUNDS:
            torch.bitwise_right_shift(part, distance, out=shifted)
            part.bitwise_xor_(shifted.bitwise_and_(2 ** (64 - distance) - 1))
            if factor != 1:
                part.mul_(factor)
    return x

"""What is dropped goes with the token: at its rate, each element on its own, in whatever rows it is read."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from flowdpo_pl.errors import UserError
from flowdpo_pl.model.dropout import Dropout, salted

KEYS = salted(torch.arange(333), 2**64 - 1)


def kept(keys: Tensor = KEYS, width: int = 301, place: int = 0, rate: float = 0.5) -> Tensor:
    return Dropout(rate, keys).kept(torch.empty(*keys.shape, width), place)


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_elements_are_dropped_at_their_rate_each_on_its_own(rate: float) -> None:
    mask = kept(rate=rate)  # its width is no multiple of the four elements of a hash
    assert mask.dtype == torch.int8 and mask.shape == (333, 301) and set(mask.unique().tolist()) == {0, 1}
    assert float(mask.double().mean()) == pytest.approx(1 - rate, abs=0.01)
    for flat in (mask.flatten().double(), mask.t().flatten().double()):
        for distance in (1, 2, 3, 4):
            pairs = torch.stack([flat[:-distance], flat[distance:]])
            assert abs(float(torch.corrcoef(pairs)[0, 1])) < 0.015


def test_a_token_keeps_its_mask_wherever_it_stands() -> None:
    order = torch.randperm(333, generator=torch.Generator().manual_seed(0))
    assert torch.equal(kept(KEYS[order]), kept()[order])
    assert torch.equal(kept(KEYS[:330].view(3, 110)), kept()[:330].view(3, 110, 301))
    assert torch.equal(kept(KEYS[7:8]), kept()[7:8])


def test_places_and_updates_have_masks_of_their_own() -> None:
    others = [kept(place=1), kept(salted(torch.arange(333), 2**64 - 2)), kept(salted(torch.arange(333), 5))]
    for other in others:
        pairs = torch.stack([kept().flatten().double(), other.flatten().double()])
        assert abs(float(torch.corrcoef(pairs)[0, 1])) < 0.015


def test_a_layer_that_reads_other_rows_than_tokens_is_refused() -> None:
    with pytest.raises(UserError, match=r"reads 12 rows for 6 tokens.*dropout to 0"):
        Dropout(0.5, KEYS[:6]).kept(torch.empty(2, 6, 8), 0)

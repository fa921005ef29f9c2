"""What is stored is found by content, and its states are put together from what each sequence kept."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flowdpo_pl.play.engines.prefix_cache import COMMON, Ids, PrefixCache, Stored, common_prefix
from flowdpo_pl.play.flows.answer_stop import ANSWER, STOP

LAYERS, HEADS, SIZE = 2, 3, 4


def ids(*tokens: int) -> Ids:
    return np.array(tokens, dtype=np.int64)


def states(tokens: Ids) -> Tensor:
    """`[Y, K, L, D]`: each token's number, a little more in each layer and head."""
    layer, head = torch.arange(LAYERS)[:, None, None, None], torch.arange(HEADS)[:, None, None]
    column = torch.from_numpy(tokens)[:, None] + 0.0
    return (column + 0.1 * layer + 0.01 * head).expand(LAYERS, HEADS, len(tokens), SIZE).contiguous()


def stored(tokens: Ids, start: int = 0, parent: Stored | None = None) -> Stored:
    own = states(tokens)[:, :, start:]
    return Stored(tokens, start, own, -own, parent)


def test_the_sequence_that_shares_most_is_found() -> None:
    cache = PrefixCache()
    short, long = stored(ids(1, 2, 9)), stored(ids(1, 2, 3, 4))
    cache.store(ANSWER, "p", "", short)
    cache.store(ANSWER, "p", "0", long)
    assert cache.longest(ANSWER, "p", ids(1, 2, 3, 7)) == (long, 3)
    assert cache.longest(ANSWER, "p", ids(1, 2, 9, 9)) == (short, 3)
    assert cache.longest(ANSWER, "p", ids(8)) == (None, 0)


def test_agents_and_problems_share_nothing_but_how_all_problems_begin() -> None:
    cache = PrefixCache()
    cache.store(ANSWER, "p", "", stored(ids(1, 2, 3)))
    common = stored(ids(1, 2))
    cache.store(ANSWER, COMMON, "", common)
    assert cache.longest(ANSWER, "q", ids(1, 2, 3)) == (common, 2)
    assert cache.longest(STOP, "p", ids(1, 2, 3)) == (None, 0)
    assert cache.knows(ANSWER, "p") and not cache.knows(ANSWER, "q") and not cache.knows(STOP, "p")
    cache.clear()
    assert cache.longest(ANSWER, "p", ids(1, 2, 3)) == (None, 0) and not cache.knows(ANSWER, "p")


def test_a_branch_keeps_its_newest_sequence() -> None:
    cache = PrefixCache()
    old, new = stored(ids(1, 2, 3)), stored(ids(1, 2, 4))
    cache.store(ANSWER, "p", "", old)
    cache.store(ANSWER, "p", "", new)
    assert cache.longest(ANSWER, "p", ids(1, 2, 3)) == (new, 2)


def test_states_are_put_together_along_the_parents() -> None:
    """A grandchild that leaves its parent before the parent's own part begins included."""
    root = stored(ids(1, 2, 3, 4, 5))
    child = stored(ids(1, 2, 3, 4, 60, 70), start=4, parent=root)
    leaf = stored(ids(1, 2, 3, 9, 8), start=3, parent=child)
    for sequence in (root, child, leaf):
        for length in range(1, len(sequence.token_ids) + 1):
            keys = [torch.full((HEADS, length, SIZE), torch.nan) for _ in range(LAYERS)]
            values = [torch.full((HEADS, length, SIZE), torch.nan) for _ in range(LAYERS)]
            sequence.copy_into(keys, values)
            expected = states(sequence.token_ids[:length])
            assert torch.equal(torch.stack(keys), expected) and torch.equal(torch.stack(values), -expected)


def test_common_prefixes_are_counted_to_the_first_difference() -> None:
    assert common_prefix(ids(1, 2, 3), ids(1, 2, 4)) == 2
    assert common_prefix(ids(1, 2), ids(1, 2, 4)) == 2
    assert common_prefix(ids(), ids(1)) == common_prefix(ids(5), ids(1)) == 0

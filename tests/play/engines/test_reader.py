"""How rows are cut into parts that are read together."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from flowdpo_pl.play.engines.reader import _TOKENS_PER_FORWARD, reading_parts
from tests.properties import few


def cost(unread: list[int], parts: list[slice]) -> int:
    """Tokens that are read, a forward of its own counted as so many more."""
    return sum(max(unread[part]) * len(unread[part]) + _TOKENS_PER_FORWARD for part in parts)


@few
@given(st.lists(st.integers(0, 4 * _TOKENS_PER_FORWARD), max_size=9))
def test_no_other_cut_reads_less(unread: list[int]) -> None:
    parts = reading_parts(unread)
    assert [row for part in parts for row in unread[part]] == unread
    between = range(1, len(unread))
    for number in range(len(unread)):
        for places in combinations(between, number):
            other = [slice(*ends) for ends in pairwise((0, *places, len(unread)))]
            assert cost(unread, parts) <= cost(unread, other)

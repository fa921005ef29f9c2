from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowdpo_pl.data.cursor import NOTHING, Cursor, after, extended, share
from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Problem

BATCHES = [[Problem(letter, letter, "1") for letter in text] for text in ("abcde", "fghij", "kl")]
STREAM = [(1, batch) for batch in BATCHES]
PROBLEMS = [problem for batch in BATCHES for problem in batch]


def spell(batches: object) -> list[str]:
    return ["".join(problem.id for problem in batch) for batch in batches]  # type: ignore[attr-defined]


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_the_shares_of_all_ranks_make_the_batch(world: int) -> None:
    by_rank = [[share(batch, rank, world) for batch in BATCHES] for rank in range(world)]
    assert all(len(shares) == len(BATCHES) for shares in by_rank)
    for batch, shares in zip(BATCHES, zip(*by_rank, strict=True), strict=True):
        assert sorted((problem for one in shares for problem in one), key=lambda problem: problem.id) == batch
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_cursor_moves_when_a_batch_is_consumed_not_when_it_is_given() -> None:
    cursor = Cursor()
    stream = cursor.give(STREAM)
    first, second = next(stream), next(stream)
    assert cursor.consumed == 0
    cursor.mark_consumed(first)
    assert (cursor.consumed, cursor.last_id) == (5, "e")
    cursor.mark_consumed(second)
    assert (cursor.consumed, cursor.last_id) == (10, "j")


def test_every_rank_counts_the_problems_of_all() -> None:
    for rank in range(8):
        cursor = Cursor()
        for mine in cursor.give(STREAM, rank, 8):
            cursor.mark_consumed(mine)
        assert (cursor.consumed, cursor.last_id) == (12, "l")


def test_what_was_given_but_not_consumed_is_given_again() -> None:
    cursor = Cursor()
    stream = cursor.give(STREAM)
    cursor.mark_consumed(next(stream))
    next(stream)
    assert spell(cursor.give(STREAM)) == ["fghij", "kl"]
    assert spell(Cursor(**cursor.state_dict()).give(STREAM)) == ["fghij", "kl"]


def test_consuming_out_of_order_or_twice_is_a_bug() -> None:
    cursor = Cursor()
    first, second, *_ = list(cursor.give(STREAM))
    with pytest.raises(RuntimeError):
        cursor.mark_consumed(second)
    cursor.mark_consumed(first)
    with pytest.raises(RuntimeError):
        cursor.mark_consumed(first)


@pytest.mark.parametrize(
    ("consumed", "last_id", "rest"),
    [
        (0, "", ["abcde", "fghij", "kl"]),
        (5, "e", ["fghij", "kl"]),
        (7, "g", ["hij", "kl"]),
        (12, "l", []),
    ],
)
def test_after(consumed: int, last_id: str, rest: list[str]) -> None:
    digests = extended(NOTHING, PROBLEMS[:consumed])
    assert spell(batch for _, batch in after(STREAM, consumed, last_id, digests)) == rest


def test_a_changed_stream_is_refused() -> None:
    with pytest.raises(UserError, match="problem 5 was z and is now e"):
        list(after(STREAM, 5, "z"))
    with pytest.raises(UserError, match="hold 12 problems, but the checkpoint has consumed 20"):
        list(after(STREAM, 20, "z"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gold": "2"}, "the first 7 problems have other gold answers;"),
        ({"question": "b again", "gold": "2"}, "the first 7 problems have other questions and gold answers;"),
        ({"seed_question": "s"}, "other seed questions;"),
        ({"labels": (("level", "2"),)}, "other labels;"),
    ],
)
def test_what_has_changed_under_the_same_ids_is_told(change: dict[str, Any], told: str) -> None:
    digests = extended(NOTHING, PROBLEMS[:7])
    changed = [(1, [replace(p, **change) if p.id == "b" else p for p in batch]) for batch in BATCHES]
    with pytest.raises(UserError, match=told):
        list(after(changed, 7, "g", digests))
    later = [(1, [replace(p, **change) if p.id == "h" else p for p in batch]) for batch in BATCHES]
    assert spell(batch for _, batch in after(later, 7, "g", digests)) == ["hij", "kl"]


def test_the_pass_is_that_of_the_batch_to_be_consumed_and_the_end_comes_after_the_last_one() -> None:
    cursor = Cursor()
    stream = cursor.give([(1, BATCHES[0]), (2, BATCHES[1])])
    first, second = next(stream), next(stream)
    assert cursor.pass_number == 1 and next(stream, None) is None
    cursor.mark_consumed(first)
    assert cursor.pass_number == 2 and not cursor.ended
    cursor.mark_consumed(second)
    assert cursor.ended

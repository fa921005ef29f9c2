"""What could not be judged is counted, and too much of it ends the first chunk.

Real runs: `tests/modules/test_unjudged_runs.py`.
"""

from __future__ import annotations

import math

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.measure.judging import FirstChunk, Judgement, judgements, judging_counts, judging_rates
from tests.example_trees import random_tree


def answers(errors: list[str | None], start: int = 0) -> list[Judgement]:
    return [Judgement(f"p{start + n}", f"gold {start + n}", error) for n, error in enumerate(errors)]


def test_time_outs_are_errors_too() -> None:
    counts = judging_counts([None, "timeout", None, "the gold answer is empty"])
    assert counts == {"judged_answers": 4, "judging_errors": 2, "judging_timeouts": 1}
    assert judging_rates(**counts) == {"judging_error_rate": 0.5, "timeout_rate": 0.25}
    assert all(map(math.isnan, judging_rates(**judging_counts([])).values()))


def test_every_ending_of_a_tree_is_an_answer() -> None:
    tree = random_tree(3)
    assert len(judgements(tree)) == 1 + len(tree.forks)


def test_a_chunk_with_too_many_errors_shows_three() -> None:
    watch = FirstChunk()
    watch.add(answers([None] * 10))
    watch.require_judged(20)
    watch.add(answers([None, "timeout", "E1", "E2", "E3", *[None] * 5], start=10))
    with pytest.raises(UserError, match=r"4 of the first 20 answers cannot be judged") as caught:
        watch.require_judged(20)
    told = str(caught.value)
    assert "(p11: gold 'gold 11', 'timeout'; p12: gold 'gold 12', 'E1'; p13: gold 'gold 13', 'E2')" in told
    assert "p14" not in told and "\n" not in told
    watch.require_judged(20, ended=True)  # said once


def test_three_problems_are_shown_rather_than_one_three_times() -> None:
    watch = FirstChunk()
    one, *others = answers(["a", "b", "c"])
    watch.add([one, one, one, *others])
    with pytest.raises(UserError, match=r"p0: .*; p1: .*; p2: "):
        watch.require_judged(3)


def test_five_percent_is_allowed_and_what_comes_later_is_only_counted() -> None:
    watch = FirstChunk()
    watch.add(answers(["E"] * 5 + [None] * 95))
    watch.require_judged(100)
    watch.add(answers(["E"] * 900, start=100))
    watch.require_judged(100)
    watch.require_judged(100, ended=True)


def test_a_stream_shorter_than_a_chunk_is_looked_at_when_it_ends() -> None:
    watch = FirstChunk()
    watch.add(answers(["E"] * 4))
    watch.require_judged(160)
    with pytest.raises(UserError, match="4 of the first 4 answers"):
        watch.require_judged(160, ended=True)


def test_a_single_time_out_stops_no_short_run() -> None:
    watch = FirstChunk()
    watch.add(answers(["timeout", "timeout", None, None]))
    watch.require_judged(4, ended=True)

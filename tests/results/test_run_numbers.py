"""What a run's numbers are over: sums of all batches, means by what they are means of, across resumes."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from flowdpo_pl.results.run_numbers import RunNumbers

NOTHING = {
    f"chooser/{kind}/{held}": 0.0 for kind in ("nodes", "finished") for held in ("none", "wrong", "right")
}
BATCHES: list[dict[str, Any]] = [
    {"answer/pairs": 1.0, "answer/margin": 0.5, "chunks_per_answer": 2.0, "problems": 4.0},
    {"answer/pairs": 0.0, "answer/margin": math.nan, "chunks_per_answer": 0.0, "problems": 0.0},
    {"answer/pairs": 3.0, "answer/margin": 1.5, "chunks_per_answer": 5.0, "problems": 2.0},
]
CHOICES = {
    **NOTHING,
    "chooser/nodes/none": 3.0,
    "chooser/finished/none": 1.0,
    "chooser/nodes/wrong": 1.0,
    "chooser/early": 1.0,
    "chooser/late": 0.0,
    "chooser/cut": 2.0,
    "chooser/chains": 4.0,
    "chooser/early_rate": 0.25,
}


def test_means_are_weighed_by_what_they_are_means_of() -> None:
    run = RunNumbers()
    for values in BATCHES:
        run.add(values)
    assert run.sums["answer/pairs"] == 4 and "answer/margin" not in run.sums
    assert run.margins == {"answer": pytest.approx((0.5 + 3 * 1.5) / 4)}
    assert run.chunks_per_answer == pytest.approx((4 * 2 + 2 * 5) / 6)


def test_the_chooser_s_rates_are_those_of_its_summed_counts() -> None:
    run = RunNumbers()
    run.add(CHOICES)
    run.add({**CHOICES, "chooser/early": 0.0, "chooser/finished/none": 0.0, "chooser/early_rate": 0.0})
    assert (run.chooser["early"], run.chooser["chains"]) == (1, 8)
    assert run.chooser["early_rate"] == 1 / 8 and run.chooser["finished_rate/none"] == 1 / 6
    assert run.chooser["cut_rate"] == 0.5 and math.isnan(run.chooser["late_rate"])


def test_where_nobody_chooses_there_is_nothing_to_tell() -> None:
    run = RunNumbers()
    run.add(dict.fromkeys(CHOICES, 0.0))
    assert run.chooser == {} and run.margins == {} and math.isnan(run.chunks_per_answer)


def test_a_resumed_run_goes_on() -> None:
    whole, part, rest = RunNumbers(), RunNumbers(), RunNumbers()
    for values in (*BATCHES, CHOICES):
        whole.add(values)
    part.add(BATCHES[0])
    rest.load_state_dict(json.loads(json.dumps(part.state_dict())))
    for values in (*BATCHES[1:], CHOICES):
        rest.add(values)
    assert rest.state_dict() == whole.state_dict()

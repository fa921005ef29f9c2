"""Flat for Lightning, and what adds up is told for every name."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from flowdpo_pl.measure.chooser_questions import PARTIAL_ANSWERS
from flowdpo_pl.measure.play_signs import SIGNS
from flowdpo_pl.measure.tree_statistics import tree_statistics
from flowdpo_pl.results.batch_numbers import BatchNumbers, is_summed
from flowdpo_pl.types import Tie
from tests.runs import Recorder, data, module, trainer

NUMBERS = BatchNumbers(
    accuracy={"progressive_accuracy": 0.5, "problems": 40.0},
    chooser={"chooser/early": 1.0, "chooser/nodes/none": 3.0, "chooser/chains": 8.0},
    chooser_rates={"chooser/early_rate": 0.3, "chooser/finished_rate/none": 0.3},
    nodes={"reader/pairs": 3.0, "reader/ties/both_right": 2.0},
    judging={"judged_answers": 20.0, "judging_errors": 1.0, "judging_timeouts": 1.0},
    unjudged={"judging_error_rate": 0.05, "timeout_rate": 0.05, "unreadable_gold_rate": 0.0},
    signs={"signs/chains": 8.0, "signs/right": 3.0},
    trees={"reader/flips": 0.6, "flips/depth_3": 0.6, "chunks_per_answer": 2.5},
    problems=8.0,
    problems_seen=40.0,
    generated_tokens=100.0,
    generated_tokens_per_second=50.0,
    choice_mass=0.9,
    groups={"reader/groups": 9.0, "reader/groups_taught": 4.0},
    learning={"reader/loss": 0.7, "reader/tokens": 300.0},
    seconds={"seconds/play": 2.0},
    peak_memory_bytes=1000.0,
)


def test_flat_has_every_number_once_by_its_name() -> None:
    flat = NUMBERS.flat()
    assert flat["problems"] == 8.0, "of the batch, not of the running accuracy"
    mappings = [getattr(NUMBERS, known.name) for known in fields(NUMBERS)]
    names = {name for inner in mappings if isinstance(inner, dict) for name in inner}
    single = {known.name for known in fields(NUMBERS) if isinstance(getattr(NUMBERS, known.name), float)}
    assert flat.keys() == names | single
    assert {type(value) for value in flat.values()} == {float}
    assert replace(NUMBERS, learning={}).flat().keys() == flat.keys() - {"reader/loss", "reader/tokens"}


def test_whether_a_name_is_summed_is_what_its_field_says() -> None:
    for known in fields(NUMBERS):
        value: Any = getattr(NUMBERS, known.name)
        for name in value if isinstance(value, dict) else [known.name]:
            assert is_summed(name) == ("summed" in known.metadata), name


@pytest.mark.parametrize("name", ["pairs", "reader/pairs_seen", "ties", "flips/depth_1", "reader/tokens"])
def test_names_that_resemble_summed_ones_are_latest_values(name: str) -> None:
    assert not is_summed(name)


def test_of_a_real_batch_just_these_add_up(tmp_path: Path) -> None:
    recorder, run = Recorder(), module(max_problems=8)
    trainer(tmp_path, recorder).fit(run, data())
    (values,) = recorder.values
    assert tree_statistics(run.trees, run.team.flow.agents).items() <= values.items(), "none of them is lost"
    agents = ("answer", "stop")
    outcomes = ("pairs", *(f"ties/{kind}" for kind in Tie))
    assert {name for name in values if is_summed(name)} == {
        *(f"{agent}/{outcome}" for agent in agents for outcome in outcomes),
        *("seconds/play", "seconds/score", "seconds/update", "generated_tokens"),
        *("judged_answers", "judging_errors", "judging_timeouts"),
        *(f"chooser/{name}/{held}" for name in ("nodes", "finished") for held in PARTIAL_ANSWERS),
        *(f"chooser/{name}" for name in ("early", "late", "cut", "chains")),
        *(f"signs/{name}" for name in SIGNS),
    }

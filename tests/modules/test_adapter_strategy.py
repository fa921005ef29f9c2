"""However many processes share a run, wherever their number changes, whoever dies: it learns the same.

In float64, with dropout, batches that divide evenly among no ranks, several steps a batch, and steps that are
set aside: what is left is the order in which gradients are summed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.runs import ROOT

PROGRAM = """
from benchmarks.killed import killed
from benchmarks.ranks import ranks
ranks()
killed("a rank", times=1, batches=3)
killed("a job", times=1, batches=3)
"""


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """What these benchmarks say, in one process that imports the libraries once."""
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"benchmark"')]
    return {one.get("victim", "ranks"): one for one in said}


@pytest.mark.parametrize("ranks", ["2", "3", "1, then 3, then 2"])
def test_ranks_change_nothing_but_rounding(ranks: str, found: dict[str, dict[str, Any]]) -> None:
    run = found["ranks"]
    assert run["problems"] == 21 and run["steps_set_aside"] > 1 and run["largest_weight"] > 0.05
    other = run["ranks"][ranks]
    assert other["first_other_move"] is None
    assert other["furthest_weight"] < 1e-12
    assert other["same_set_aside"] and other["same_accuracy"]


def test_a_rank_that_is_killed_costs_no_finished_batch_and_the_other_one_says_so(
    found: dict[str, dict[str, Any]],
) -> None:
    run = found["a rank"]
    assert (run["finished_batches_lost"], run["same_as_never_killed"]) == (0, 1)
    assert run["told_in_a_sentence"] == 1


def test_a_job_of_which_one_task_is_told_to_end_is_saved_requeued_and_goes_on(
    found: dict[str, dict[str, Any]],
) -> None:
    run = found["a job"]
    assert (run["finished_batches_lost"], run["same_as_never_killed"], run["requeued"]) == (0, 1, 1)

"""However many processes share a run, and wherever their number changes: it learns the same.

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


@pytest.fixture(scope="module", params=["pairs", "groups"])
def run(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the benchmark says, in a process that forks the ranks and imports the libraries once."""
    command = [sys.executable, "-m", "benchmarks.ranks", f"--learnt_from={request.param}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.long
@pytest.mark.parametrize("ranks", ["2", "3", "1, then 3, then 2"])
def test_ranks_change_nothing_but_rounding(ranks: str, run: dict[str, Any]) -> None:
    assert run["problems"] == 21 and run["largest_weight"] > 0.05
    assert run["learnt_from"] == "groups" or run["steps_set_aside"] > 1
    other = run["ranks"][ranks]
    assert other["first_other_move"] is None
    assert other["furthest_weight"] < 1e-12
    assert other["same_set_aside"] and other["same_accuracy"]

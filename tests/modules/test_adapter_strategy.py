"""However many processes share a run, wherever their number changes, whoever dies: it learns the same.

In float64, with dropout, batches that divide evenly among no ranks, several steps a batch, and steps that are
set aside: what is left is the order in which gradients are summed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from flowdpo_pl import Learning, NodeGroups, PolicyGradient
from tests.runs import ROOT, data, module, trainer, weights
from tests.two_ranks import run_program

PROGRAM = """
from benchmarks.killed import killed
from benchmarks.ranks import ranks
ranks()
killed("a rank", times=1, batches=3)
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


TWO_RANKS = """
import sys, torch
torch.set_num_threads(1)
from lightning.pytorch import Trainer
from flowdpo_pl import Learning, NodeGroups, PolicyGradient
from flowdpo_pl.modules.adapter_strategy import AdapterStrategy
from tests.runs import data, module, weights

if __name__ == "__main__":
    run = module(learning=Learning(lr=3e-3, loss=PolicyGradient()), exploration=NodeGroups(), max_problems=8)
    Trainer(
        accelerator="cpu", devices=2, strategy=AdapterStrategy(process_group_backend="gloo"), max_epochs=-1,
        num_sanity_val_steps=0, limit_val_batches=0, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=sys.argv[1],
    ).fit(run, data())
    values = {name: float(value) for name, value in run.accuracy.compute().items()}
    rank = torch.distributed.get_rank()
    torch.save({"weights": weights(run), "values": values}, f"{sys.argv[1]}/{rank}.pt")
"""


def test_two_ranks_learn_from_groups_as_one_does(tmp_path: Path) -> None:
    one = module(learning=Learning(lr=3e-3, loss=PolicyGradient()), exploration=NodeGroups(), max_problems=8)
    trainer(tmp_path).fit(one, data())
    run_program(TWO_RANKS, tmp_path)
    for rank in range(2):
        other = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        expected = {name: float(value) for name, value in one.accuracy.compute().items()}
        assert json.dumps(other["values"]) == json.dumps(expected)
        for name, value in weights(one).items():
            torch.testing.assert_close(other["weights"][name], value, atol=2e-4, rtol=1e-3)

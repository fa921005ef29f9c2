"""Two ranks learn what one process learns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from flowdpo_pl import Learning, NodeGroups, PolicyGradient
from tests.runs import data, module, trainer, weights
from tests.two_ranks import run_program

OPTIONS = {
    "preferences": "{}",
    "policy gradient": "dict(learning=Learning(lr=3e-3, loss=PolicyGradient()), exploration=NodeGroups())",
}
PROGRAM = """
import sys, torch
torch.set_num_threads(1)
from lightning.pytorch import Trainer
from flowdpo_pl import Learning, NodeGroups, PolicyGradient
from flowdpo_pl.modules.adapter_strategy import AdapterStrategy
from tests.runs import data, module, weights

if __name__ == "__main__":
    run = module(**OPTIONS)
    Trainer(
        accelerator="cpu", devices=2, strategy=AdapterStrategy(process_group_backend="gloo"), max_epochs=-1,
        num_sanity_val_steps=0, limit_val_batches=0, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=sys.argv[1],
    ).fit(run, data())
    rank = torch.distributed.get_rank()
    values = {name: float(value) for name, value in run.accuracy.compute().items()}
    result = {"weights": weights(run), "seen": run.problems_seen, "values": values}
    torch.save(result, f"{sys.argv[1]}/{rank}.pt")
"""


@pytest.mark.parametrize("learnt", OPTIONS)
def test_two_ranks_equal_one(learnt: str, tmp_path: Path) -> None:
    options: dict[str, dict[str, Any]] = {
        "preferences": {},
        "policy gradient": {
            "learning": Learning(lr=3e-3, loss=PolicyGradient()),
            "exploration": NodeGroups(),
        },
    }
    one = module(**options[learnt])
    trainer(tmp_path).fit(one, data())
    run_program(PROGRAM.replace("OPTIONS", OPTIONS[learnt]), tmp_path)
    for rank in range(2):
        other = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert other["seen"] == one.problems_seen
        expected = {name: float(value) for name, value in one.accuracy.compute().items()}
        assert json.dumps(other["values"]) == json.dumps(expected)
        for name, value in weights(one).items():
            torch.testing.assert_close(other["weights"][name], value, atol=2e-4, rtol=1e-3)

"""Starts `fit` on the workers of Ray Train, which goes on from the newest checkpoint when one of them dies.

    python -m examples.fit_on_ray 2 --config configs/quickstart.yaml

The first word is the number of workers, the rest are arguments of `fit`. The folder of the run must be on a
disk that all workers see. It starts a Ray of its own, or joins the cluster that `RAY_ADDRESS` names.
"""

from __future__ import annotations

import os
import sys
from typing import Any

RESTARTS = 3
PATIENCE = 24 * 3600
"""Seconds that a worker waits for the others: a batch may be slow, and Ray sees who has died."""
OURS = (
    *("--trainer.strategy=flowdpo_pl.RayAdapterStrategy", "--trainer.devices=1"),
    *("--ckpt_path=auto", "--overwrite=same"),
)
"""What Ray adds to the arguments: its ranks, and to go on with what is there."""


def worker(given: dict[str, Any]) -> None:
    """What each of them does."""
    from flowdpo_pl.cli import main

    os.chdir(given["directory"])
    main(["fit", *given["arguments"], *OURS])


def fit_on_ray(workers: int, arguments: list[str], restarts: int = RESTARTS) -> None:
    """Run `fit` with these arguments on so many workers, with a GPU each where this machine has one.

    Raises:
        ray.train.TrainingFailedError: it failed once more than it may.
    """
    import ray
    import torch
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    if not ray.is_initialized():
        ray.init(runtime_env={"env_vars": {"PYTHONPATH": os.getcwd()}})
    TorchTrainer(
        worker,
        train_loop_config={"directory": os.getcwd(), "arguments": arguments},
        torch_config=TorchConfig(timeout_s=PATIENCE),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=torch.cuda.is_available()),
        run_config=RunConfig(failure_config=FailureConfig(max_failures=restarts)),
    ).fit()


if __name__ == "__main__":
    fit_on_ray(int(sys.argv[1]), sys.argv[2:])

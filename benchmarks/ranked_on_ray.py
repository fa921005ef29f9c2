"""`benchmarks.ranked_run` on the workers of a Ray of its own."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.ranked_run import RankedRun, go_on


def start_ray(ranks: int) -> None:
    """With room for so many workers. It ends with the thread that calls this."""
    import ray

    if not ray.is_initialized():
        ray.init(num_cpus=ranks, include_dashboard=False, runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}})


def run(folder: Path, ranks: int, ranked: RankedRun, restarts: int = 3) -> None:
    """From its checkpoint on if there is one, to so many problems."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    start_ray(ranks)
    TorchTrainer(
        _worker,
        train_loop_config={
            "directory": os.getcwd(),
            "folder": str(folder.resolve()),
            "ranked": asdict(ranked),
        },
        torch_config=TorchConfig(backend="gloo", timeout_s=24 * 3600),
        scaling_config=ScalingConfig(num_workers=ranks),
        run_config=RunConfig(
            failure_config=FailureConfig(max_failures=restarts), storage_path=str(folder.resolve() / "ray")
        ),
    ).fit()


def _worker(given: dict[str, Any]) -> None:
    from flowdpo_pl.modules.ray_strategy import RayAdapterStrategy

    os.chdir(given["directory"])
    go_on(Path(given["folder"]), 1, RankedRun(**given["ranked"]), RayAdapterStrategy())

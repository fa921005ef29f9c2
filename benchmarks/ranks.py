"""Whether ranks change anything: one run by one, two and three processes, and by changing numbers of them.

Beside the run of one process, for each of the others: the first problem of which a move differs, and how far
apart the adapters end. The last line is JSON.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import lightning.pytorch  # noqa: F401  # once, before the processes are forked
import peft  # noqa: F401
import transformers  # noqa: F401
from jsonargparse import auto_cli

from benchmarks.ranked_run import BATCH, Left, RankedRun, forked
from benchmarks.repeat import report

STAGES = {"1": (1,), "2": (2,), "3": (3,), "1, then 3, then 2": (1, 3, 2), "2 on Ray": (2,)}
"""Processes of each part of a run; between parts it is resumed."""
LAUNCHERS = {"2": "slurm", "3": "torchrun", "2 on Ray": "ray"}
"""As whose processes the ranks of a run find out who they are, where that is not Lightning's launcher; Ray's
where it is installed."""


def ranks(
    batches: int = 3,
    dtype: Literal["float64", "float32", "bfloat16"] = "float64",
    learnt_from: Literal["pairs", "groups"] = "pairs",
    folder: Path | None = None,
) -> None:
    """
    Args:
        batches: of the run, a multiple of three.
        dtype: of the base; adapters are in float32 at least.
        learnt_from: preference pairs, or a policy gradient's groups.
        folder: where the runs are kept; by default nowhere.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    with TemporaryDirectory() as scratch:
        where = folder or Path(scratch)
        left, seconds = {}, {}
        for number, (name, stages) in enumerate(STAGES.items()):
            start = time.perf_counter()
            launcher = LAUNCHERS.get(name, "lightning")
            if launcher == "ray" and find_spec("ray") is None:
                continue
            for stage, world in enumerate(stages, start=1):
                ranked = RankedRun(BATCH * batches * stage // len(stages), dtype, learnt_from)
                if launcher == "ray":
                    from benchmarks.ranked_on_ray import run

                    (where / str(number)).mkdir()
                    run(where / str(number), world, ranked)
                else:
                    forked(where / str(number), world, ranked, launcher)
            left[name], seconds[name] = Left.at(where / str(number)), time.perf_counter() - start
            print(f"{name}: {seconds[name]:.1f} s", file=sys.stderr, flush=True)
    one = left["1"]
    others: dict[str, Any] = {
        name: {
            "first_other_move": one.first_other_move(other),
            "furthest_weight": one.furthest(other),
            "same_set_aside": one.set_aside == other.set_aside,
            "same_accuracy": one.accuracy == other.accuracy,
            "seconds": seconds[name],
        }
        for name, other in left.items()
    }
    largest = max(float(value.abs().max()) for value in one.weights.values())
    report(
        "ranks",
        dtype=dtype,
        learnt_from=learnt_from,
        problems=len(one.trees),
        largest_weight=largest,
        steps_set_aside=len(one.set_aside),
        ranks=others,
    )


if __name__ == "__main__":
    auto_cli(ranks)

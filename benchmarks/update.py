"""One update from the same pairs: tree-packed, as padded pairs in our code, and by TRL.

Two sets of pairs: full trees (every fork of 6 chunks a pair) and trees mined by playing real problems.
Each contender runs in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Literal

from jsonargparse import auto_cli

from benchmarks.contenders.pair_file import full_trees, mined_trees, write_pairs
from benchmarks.repeat import in_its_own_process, report, side_by_side
from benchmarks.workload import Workload


def update(
    workload: Workload = Workload(),
    pairs: Literal["full", "mined"] = "full",
    rounds: int = 3,
    micro_batches: list[int] = [1, 2, 4],  # noqa: B006
    trl_python: str | None = None,
) -> None:
    """Seconds and peak memory of policy forward and backward and the reference, on the same pairs.

    Args:
        workload: model and problems.
        pairs: `full` trees of 4 problems, or those `mined` from playing the workload.
        rounds: medians are over this many.
        micro_batches: pairs at once that padded pairs are tried with; the fastest counts.
        trl_python: interpreter of a virtualenv with trl; null leaves it out.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.json"
        module = workload.module()
        found = full_trees(module) if pairs == "full" else mined_trees(module, workload.read())
        facts = write_pairs(path, module, found)
        print(facts, file=sys.stderr)
        ours = [sys.executable, "-m", "benchmarks.contenders.update_ours"]
        runs = {"tree_packed": [*ours, "--packed=true"]}
        for size in micro_batches:
            runs[f"padded_{size}"] = [*ours, "--packed=false", f"--pairs_at_once={size}"]
        if trl_python is not None:
            runs["trl"] = [trl_python, "-m", "benchmarks.contenders.update_trl"]
        common = [f"--pairs={path}", f"--model={workload.model}", f"--threads={workload.threads}"]
        results = side_by_side(
            {
                name: lambda command=command: in_its_own_process([*command, *common])
                for name, command in runs.items()
            },
            rounds,
        )
    padded = {name: result for name, result in results.items() if name.startswith("padded")}
    best = min(padded, key=lambda name: padded[name]["seconds"])
    ratios = {
        f"{what}_over_{name}": results[name][what] / max(1e-9, results["tree_packed"][what])
        for name in (best, *(["trl"] if trl_python else []))
        for what in ("seconds", "memory_above_model_bytes")
    }
    report("update", pairs=pairs, facts=facts, baseline=best, rounds=rounds, results=results, ratios=ratios)


if __name__ == "__main__":
    auto_cli(update)

"""What `fit --help` costs beside that of a LightningCLI without a project.

`python -m benchmarks.help_cost` runs both in turns and prints one JSON object: medians of wall-clock and of
CPU seconds, and their ratios.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from statistics import median

BARE = "from lightning.pytorch.cli import LightningCLI; LightningCLI()"
COMMANDS = {
    "flowdpo_pl": [sys.executable, "-m", "flowdpo_pl", "fit", "--help"],
    "bare": [sys.executable, "-c", BARE, "fit", "--help"],
}


def cost(command: list[str]) -> tuple[float, float]:
    """Wall-clock and CPU seconds (user and system) of one run."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each command")
    repeats: int = parser.parse_args().repeats
    for command in COMMANDS.values():
        cost(command)  # fills the disk's cache
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):  # in turns, so that a busy minute hits both
        for name, command in COMMANDS.items():
            costs[name].append(cost(command))
    result: dict[str, float] = {}
    for index, kind in enumerate(("wall", "cpu")):
        medians = {name: median(run[index] for run in runs) for name, runs in costs.items()}
        result |= {f"{name}_{kind}_seconds": round(seconds, 2) for name, seconds in medians.items()}
        result[f"{kind}_ratio"] = round(medians["flowdpo_pl"] / medians["bare"], 2)
    print(json.dumps({"repeats": repeats, **result}))


if __name__ == "__main__":
    main()

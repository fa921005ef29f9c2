"""Times alternatives side by side in one run, round by round, and prints medians as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

Measurement = Mapping[str, float]


def side_by_side(
    contenders: Mapping[str, Callable[[], Measurement]], rounds: int
) -> dict[str, dict[str, float]]:
    """Medians over `rounds` of what each contender measures; every round runs all of them in turn.

    The machine drifts, so only figures of one run are compared.
    """
    measured: dict[str, list[Measurement]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, run in contenders.items():
            measured[name].append(run())
            shown = {key: round(value, 2) for key, value in measured[name][-1].items()}
            print(f"round {number + 1}/{rounds} {name}: {shown}", file=sys.stderr, flush=True)
    return {
        name: {key: median(one[key] for one in results) for key in results[0]}
        for name, results in measured.items()
    }


def in_its_own_process(command: list[str]) -> dict[str, float]:
    """What another program measured: its output's last line of JSON. Its failure ends the run."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed with exit code {done.returncode}: see its messages above.")
    last = [line for line in done.stdout.splitlines() if line.startswith("{")][-1]  # vLLM logs after it
    result: dict[str, float] = json.loads(last)
    return result


def report(name: str, **contents: Any) -> None:
    """The benchmark's last line."""
    print(json.dumps({"benchmark": name, **contents}))

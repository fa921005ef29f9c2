"""What `plan` predicts beside what runs take: peaks of memory, and the time that `--probe` computes.

Each run is a process of its own; the last line is JSON. Runs have two batches, or as many problems as asked.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from benchmarks.repeat import report

_SMOLLM2 = "configs/smollm2/flow_dpo.yaml"
RUNS = {
    "quickstart": ("configs/quickstart.yaml",),
    "smollm2_bf16": (_SMOLLM2,),
    "smollm2_nf4": (_SMOLLM2, "--model.team.base.quantization=nf4"),
    "rank_64": (_SMOLLM2, "--model.team.lora.r=64"),
    "chunks_320": (_SMOLLM2, "--model.team.flow.chunk_tokens=320", "--model.team.flow.max_chunks=2"),
}


def plan(runs: list[str] = list(RUNS), problems: int = 64, probe: bool = False) -> None:  # noqa: B006
    """Compare predictions with runs.

    Args:
        runs: names of what is run.
        problems: of each run.
        probe: also compare the time of a run with the one that two batches predict.
    """
    results = {name: _compared(RUNS[name], problems, probe) for name in runs}
    report("plan", problems=problems, results=results)


def _compared(words: tuple[str, ...], problems: int, probe: bool) -> dict[str, Any]:
    config, *keys = words
    given = [f"--config={config}", f"--model.max_problems={problems}", *keys]
    options = ["--json", *(["--probe"] if probe else [])]
    told = _run("plan", *given, *options).stdout.splitlines()[-1]
    predicted = json.loads(told)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        _run("fit", *given, f"--trainer.logger.init_args.save_dir={folder}")
        seconds = time.perf_counter() - started
        (table,) = Path(folder).rglob("metrics.csv")
        with table.open(encoding="utf-8") as rows:
            peaks = [float(row["peak_memory_bytes"]) for row in csv.DictReader(rows)]
    played = predicted.get("played", {}).get("needs")
    return {
        "measured_bytes": max(peaks),
        "typical_bytes": predicted["typical"]["needs"],
        "at_most_bytes": predicted["at_most"]["needs"],
        "played_bytes": played,
        "libraries_bytes": predicted["typical"]["memory"]["libraries"],
        "typical_share": predicted["typical"]["needs"] / max(peaks),
        "played_share": played and played / max(peaks),
        "measured_seconds": seconds,
        "predicted_seconds": (predicted["measured"] or {}).get("run_seconds"),
    }


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flowdpo_pl", *words], check=True, stdout=subprocess.PIPE, text=True
    )


if __name__ == "__main__":
    auto_cli(plan)

"""A whole served `fit` whose trainer is killed by SIGKILL again and again, and goes on each time.

The run starts its server itself, as `LocalVLLM` does; a scripted one with the real weights stands for vLLM.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.coin import coin
from benchmarks.repeat import report
from tests.runs import ROOT

_PRETENDS = """#!{python}
import os, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.fake_vllm import FakeVLLM, PeftLogits, serving

class Counted(FakeVLLM):
    def answer(self, path, body):
        with open({told!r}, "ab", 0) as told:
            told.write(b".")
        return super().answer(path, body)

given = dict(zip(sys.argv[1:], sys.argv[2:]))
Path({told!r} + ".pid").write_text(str(os.getpid()))
with serving(Counted(PeftLogits(Path(given["--model"]))), int(given["--port"])):
    import time
    time.sleep(3600)
"""


@dataclass(frozen=True)
class _Run:
    """Where it writes, and how it is called."""

    folder: Path
    command: tuple[str, ...]
    told: Path
    """A byte for each request that its server has had."""

    @property
    def checkpoint(self) -> Path:
        return self.folder / "killed" / "checkpoints" / "last.ckpt"

    @property
    def kept(self) -> int:
        """Problems of the last checkpoint."""
        if not self.checkpoint.exists():
            return 0
        saved = torch.load(self.checkpoint, weights_only=False)
        return int(saved["FlowDPOModule"]["problems_seen"])

    @property
    def requests(self) -> int:
        return self.told.stat().st_size if self.told.exists() else 0

    def start(self) -> subprocess.Popen[bytes]:
        resumed = ("--ckpt_path=last",) if self.checkpoint.exists() else ()
        log = (self.folder / "log").open("ab")
        return subprocess.Popen([*self.command, *resumed], cwd=ROOT, stdout=log, stderr=log)


def kills(times: int = 10, batch: int = 8, after: int = 4) -> None:
    """Kill the trainer of a served fit, resume it by the documented command, and see what was lost.

    Args:
        times: so often; each at a random request of the server's, or a little later.
        batch: problems of a batch; a checkpoint follows each.
        after: batches between two kills, at most.
    """
    random.seed(0)
    with tempfile.TemporaryDirectory(prefix="killed-") as name:
        run = _run(Path(name), batch, times * after * batch)
        seen: list[dict[str, Any]] = []
        for _ in range(times):
            seen.append(_killed(run, random.randint(1, after * 12 * batch), random.uniform(0, 0.5)))
            print(json.dumps(seen[-1]), flush=True)
        started = time.perf_counter()
        ended = run.start().wait()
        rows = list(csv.DictReader((run.folder / "killed" / "metrics.csv").open()))
        problems = [int(float(row["problems_seen"])) for row in rows if row["problems_seen"]]
        report(
            "served.kills",
            kills=times,
            ended=ended,
            last_run_seconds=time.perf_counter() - started,
            problems=run.kept,
            every_batch_once=problems == list(range(batch, run.kept + 1, batch)),
            batches_lost=sum(one["lost_problems"] > 0 for one in seen),
            most_lost_problems=max(one["lost_problems"] for one in seen),
            seconds_to_play_again=median(one["seconds_to_play"] for one in seen),
            orphans=sum(one["server_lives"] for one in seen),
            folders_left=len(_folders()),
        )


def _killed(run: _Run, requests: int, later: float) -> dict[str, Any]:
    """Start or resume it, and kill it once its server has had so many requests more."""
    before, kept, started = run.requests, run.kept, time.perf_counter()
    trainer, played = run.start(), 0.0
    while run.requests < before + requests and trainer.poll() is None:
        if not played and run.requests > before + _CANARIES:
            played = time.perf_counter() - started
        time.sleep(0.02)
    time.sleep(later)
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    server = int(Path(f"{run.told}.pid").read_text())
    waited = time.perf_counter()
    while _lives(server) and time.perf_counter() - waited < 30:
        time.sleep(0.05)
    rows = (run.folder / "killed" / "metrics.csv").read_text().count("\n") if run.kept else 0
    return {
        "learnt_before": kept,
        "kept": run.kept,
        "lost_problems": max(0, _learnt(run) - run.kept),
        "rows": rows,
        "seconds_to_play": played or time.perf_counter() - started,
        "seconds_to_end_server": time.perf_counter() - waited,
        "server_lives": _lives(server),
        "folders": len(_folders()),
    }


_CANARIES = 12
"""Requests before the first move, about."""


def _learnt(run: _Run) -> int:
    """Problems of the batches that were learnt from, as the log of numbers has them."""
    file = run.folder / "killed" / "metrics.csv"
    if not file.exists():
        return 0
    rows = [row["problems_seen"] for row in csv.DictReader(file.open()) if row.get("problems_seen")]
    return max((int(float(row)) for row in rows), default=0)


def _run(folder: Path, batch: int, problems: int) -> _Run:
    told, python = folder / "told", folder / "python"
    python.write_text(_PRETENDS.format(python=sys.executable, root=str(ROOT), told=str(told)))
    python.chmod(0o755)
    settings = {
        "config": "configs/quickstart.yaml",
        "model.team.engine": "flowdpo_pl.LocalVLLM",
        "model.team.engine.init_args.python": python,
        "model.team.flow.init_args.chunk_tokens": 2,
        "model.team.flow.init_args.max_chunks": 2,
        "model.verifier": f"{coin.__module__}.coin",
        "model.max_problems": problems,
        "data.batch_size": batch,
        "trainer.logger.init_args.save_dir": folder,
        "trainer.logger.init_args.name": "killed",
        "trainer.callbacks": "[callbacks.AdapterCheckpoint]",
        "trainer.callbacks.every_n_problems": batch,
    }
    words = [f"--{key}={value}" for key, value in settings.items()]
    return _Run(folder, (sys.executable, "-m", "flowdpo_pl", "fit", *words), told)


def _folders() -> Sequence[Path]:
    """Of adapters, that no process holds."""
    return [lock.parent for lock in Path("/dev/shm").glob("flowdpo-adapters-*/lock") if _free(lock)]


def _free(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False

"""A server that a run has started ends with the run, also where that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.play.engines.vllm.test_local import PRETENDS, executable
from tests.runs import ROOT

STARTS = """
import sys, time
from flowdpo_pl.play.engines.vllm.local import Command, started
command = Command(sys.argv[1], "base", "float32", context=512, rank=8, adapters=2, on_cpu=True)
with started(command, timeout=60):
    print("plays", flush=True)
    time.sleep(600)
"""
HELPED = PRETENDS.replace(
    "port = ",
    """import os, subprocess
own = subprocess.Popen(["sleep", "600"])
open(__file__ + ".pids", "w").write(f"{{os.getpid()}} {{own.pid}}")
port = """,
    1,
)
"""A server with an engine process of its own."""


def test_a_server_ends_when_its_trainer_is_killed(tmp_path: Path) -> None:
    python = executable(tmp_path / "serve", HELPED.format(python=sys.executable))
    trainer = subprocess.Popen(
        [sys.executable, "-c", STARTS, python], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert trainer.stdout is not None and trainer.stdout.readline() == "plays\n"
    pids = [int(word) for word in Path(f"{python}.pids").read_text().split()]
    assert len(pids) == 2 and all(map(runs, pids))
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    until = time.monotonic() + 30
    while any(map(runs, pids)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(runs, pids))


def runs(pid: int) -> bool:
    """Nobody may have waited for one that has ended."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False

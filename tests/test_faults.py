"""A few of the faults of `python -m benchmarks.faults`: operations on files break, and nothing is lost.

What it compares is in `benchmarks/faults`; docs/reliability.md says what was run in full.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.faults.shim import compiler
from tests.runs import ROOT


@pytest.mark.long
@pytest.mark.skipif(compiler() is None, reason="needs Linux and a C compiler")
def test_a_kill_in_half_a_write_and_a_full_disk_lose_nothing(tmp_path: Path) -> None:
    sample = ["--verbs=[fit]", "--faults=[TEAR,NO_SPACE]", "--every=450", "--first=200"]
    command = [sys.executable, "-m", "benchmarks.faults", "every", *sample, f"--keep={tmp_path / 'work'}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == {} and sum(found["tried"].values()) >= 2 and found["operations"] > 300

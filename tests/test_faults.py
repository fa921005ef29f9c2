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


@pytest.mark.skipif(compiler() is None, reason="needs Linux and a C compiler")
@pytest.mark.parametrize(
    ("every", "kinds"), [(500, 4), pytest.param(90, 5, marks=pytest.mark.long)], ids=["few", "more"]
)
def test_a_fault_at_an_operation_of_fit_loses_nothing(every: int, kinds: int, tmp_path: Path) -> None:
    sample = ["--verbs=[fit]", f"--every={every}", "--first=300", f"--keep={tmp_path / 'work'}"]
    command = [sys.executable, "-m", "benchmarks.faults", "every", *sample]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == {} and len(found["tried"]) >= kinds and found["operations"] > 300

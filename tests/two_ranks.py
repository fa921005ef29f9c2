"""Runs a program that starts two ranks itself, away from the test's own process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.runs import ROOT


def run_program(text: str, folder: Path) -> None:
    """Run the program with the folder as its argument, one thread a rank; it must end well."""
    program = folder / "program.py"
    program.write_text(text)
    command = [sys.executable, str(program), str(folder)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]

"""A process whose parent was killed ends too."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress

from tests.runs import ROOT

ORPHAN = """
import time
from flowdpo_pl.modules.orphans import end_with_parent
end_with_parent()
print(1, flush=True)
time.sleep(60)
"""
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {ORPHAN!r}], stdout=subprocess.PIPE)
child.stdout.read(1)
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_process_ends_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    with suppress(ProcessLookupError):
        for _ in range(600):
            os.kill(child, 0)
            time.sleep(0.1)
        raise AssertionError("it lives on")

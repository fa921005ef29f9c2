"""A folder goes with its process, at the latest when the next one begins."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flowdpo_pl.play.engines.vllm.own_folder import own_folder
from tests.runs import ROOT

HOLDS = """
import sys
from pathlib import Path
from flowdpo_pl.play.engines.vllm.own_folder import own_folder
with own_folder("tried", Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_it_is_there_in_the_block_alone(tmp_path: Path) -> None:
    with own_folder("tried", tmp_path) as folder:
        (folder / "kept").touch()
        assert folder.is_absolute() and [*tmp_path.iterdir()] == [folder]
    assert not [*tmp_path.iterdir()]


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOLDS, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        left = Path(holder.stdout.readline().strip())
        other = tmp_path / "flowdpo-tried-another machine-1"
        other.mkdir()
        with own_folder("tried", tmp_path) as folder:
            assert left.exists()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert left.exists()
        with own_folder("tried", tmp_path) as folder:
            assert {*tmp_path.iterdir()} == {folder, other}


def test_a_place_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"), own_folder("tried", tmp_path / "missing"):
        pass

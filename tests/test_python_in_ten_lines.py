"""README's ten lines of Python: run as they stand, in a program and in a notebook, with fewer problems."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowdpo_pl import RunResults
from tests.runs import ROOT

SMALLER = {"max_problems=640": "max_problems=32"}
QUIET = [
    r"fit: at most 32 problems to come; .*",
    r"fit 32/32 problems \| right .* took .*",
]
"""All that a run with these callbacks says."""


def ten_lines() -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    before_map = readme.partition("\n## Map")[0]
    (block,) = re.findall(r"^```python\n(.*?)^```$", before_map, re.DOTALL | re.MULTILINE)
    for whole, smaller in SMALLER.items():
        assert whole in block
        block = block.replace(whole, smaller)
    return str(block)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "quickstart").symlink_to(ROOT / "quickstart")
    return tmp_path


def test_they_are_ten() -> None:
    assert len(ten_lines().splitlines()) == 10


def test_they_train_and_print_what_the_command_line_prints(folder: Path) -> None:
    after = "\nprint('::', len(curve), len(list(trees)), *sorted(adapters))"
    done = subprocess.run(
        [sys.executable, "-c", ten_lines() + after],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *said, last = [*done.stderr.splitlines(), *done.stdout.splitlines()]
    assert last == ":: 1 32 answer stop"
    assert len(said) == len(QUIET) and all(map(re.fullmatch, QUIET, said)), said
    assert {place.name for place in folder.iterdir()} <= {"quickstart", "runs", ".cache", ".config"}


@pytest.mark.long
def test_they_run_in_a_notebook_with_one_bar(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{':'.join(sys.path)}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    lines = ten_lines().replace("PromptDataModule(problems)", "PromptDataModule(problems, batch_size=4)")
    cells = [nbformat.v4.new_code_cell(text) for text in (lines, "curve[-1].problems_seen")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    outputs: list[Any] = notebook.cells[0].outputs
    bars = [output for output in outputs if output.output_type == "display_data"]
    assert len(bars) == 1, outputs
    assert bars[0].data["text/plain"].startswith("fit 32/32 ━") and "<span" in bars[0].data["text/html"]
    streams = "".join(output.text for output in outputs if output.output_type == "stream")
    assert len(streams.splitlines()) == 1 and re.fullmatch(QUIET[0], streams.strip()), streams
    assert notebook.cells[1].outputs[0].data["text/plain"] == "32"
    assert len(RunResults(folder / "runs" / "python").curve) == 8

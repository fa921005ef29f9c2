"""What the docs show is run, page by page, each in a folder like a checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.snippets import DOCS, ROOT, snippets, steps, with_foot

PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
FIRST = {"index.md", "python.md", "quickstart.md", "verbs.md"}
"""What a newcomer pastes; the blocks of other pages are run by `make test-long`."""
TARGETS = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_its_foot_says_how_many_are_run(page: str) -> None:
    assert text_of(page) == with_foot(text_of(page)), "python -m tests.snippets"


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """`tests.forked`, waiting for pages."""
    environment = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "PATH": "/usr/bin:/bin",
        "OMP_NUM_THREADS": "1",
        "HOME": str(tmp_path_factory.mktemp("home")),
        "HF_HUB_OFFLINE": "1",
    }
    program = [sys.executable, "-m", "tests.forked"]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[] if page in FIRST else [pytest.mark.long])
        for page in PAGES
        if any(steps(text_of(page)))
    ],
)
def test_its_blocks_run(page: str, tmp_path: Path, forking: subprocess.Popen[str]) -> None:
    folder, log = tmp_path / "checkout", tmp_path / "log"
    for name in ("configs", "quickstart", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    todo = list(steps(text_of(page)))
    assert {step["target"] for step in todo if "target" in step} <= set(TARGETS), "targets of the Makefile"
    todo = [step for step in todo if "target" not in step]
    assert forking.stdin is not None and forking.stdout is not None
    print(json.dumps({"folder": str(folder), "log": str(log), "steps": todo}), file=forking.stdin, flush=True)
    assert forking.stdout.readline() == "done\n", log.read_text(encoding="utf-8")[-4000:]


def test_a_block_s_commands_are_told_from_what_they_print() -> None:
    (snippet,) = snippets("```\npython -m flowdpo_pl ask runs/x \\\n    why\nTom has 6.\nmake it so\n```\n")
    assert snippet.commands == ["python -m flowdpo_pl ask runs/x      why", "make it so"]


def test_what_stands_above_a_block_is_said_at_the_foot() -> None:
    page = "```python\n1\n```\n\n<!-- not run: it needs a GPU -->\n```bash\npython -m benchmarks.gpu\n```\n"
    assert with_foot(page).endswith(
        "Of 2 blocks of commands and Python: 1 run in tests, 1 not run (it needs a GPU).</p>\n"
    )
    assert with_foot(with_foot(page)) == with_foot(page)
    assert [*steps(page)] == [{"code": "1\n"}]

"""The README's commands go on from each other: its own text is run, with fewer problems."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import ROOT

SMALLER = {
    "fit configs/quickstart.yaml": ["--model.max_problems=64"],
    "validate configs/quickstart.yaml": ["--data.validation.limit=32"],
    "predict configs/quickstart_study/collect.yaml": ["--data.predict.limit=64"],
    "test configs/quickstart_study/evaluate.yaml": ["--data.test.limit=64"],
    "test runs/quickstart": ["--data.test.limit=64"],
}
"""What a command is given beside its text, by verb and config, or run."""


def commands(readme: str) -> list[list[str]]:
    """The words of every command of the section on verbs, as a shell reads them."""
    section = readme.partition("\n## Verbs\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    lines = "".join(text for language, text in blocks if not language).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def test_the_section_has_every_verb_but_those_for_a_file_of_one_s_own() -> None:
    found = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {words[3] for words in found} >= {
        "fit",
        "validate",
        "predict",
        "test",
        "view",
        "report",
        "show",
        "ask",
        "pairs",
        "compare",
        "export",
        "study",
    }
    assert all(words[:3] == ["python", "-m", "flowdpo_pl"] for words in found)


def test_make_quickstart_is_the_first_of_them() -> None:
    first = commands((ROOT / "README.md").read_text(encoding="utf-8"))[0]
    made = re.search(
        r"^quickstart:.*\n\t(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert made is not None and shlex.split(made[1])[1:] == first[1:]


def test_the_commands_go_on_from_each_other(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for folder in ("configs", "quickstart"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {
        "PYTHONPATH": str(ROOT),
        "PATH": "/usr/bin:/bin",
        "OMP_NUM_THREADS": "1",
        "HOME": str(tmp_path),
    }
    for words in commands((ROOT / "README.md").read_text(encoding="utf-8")):
        smaller = SMALLER.get(" ".join([words[3], *words[5:6]]), [])
        done = subprocess.run(
            [sys.executable, *words[1:], *smaller],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    for made in (
        "quickstart/validate/summary.json",
        "quickstart/test/predictions.jsonl",
        "quickstart_sft/adapter",
        "sft/test/predictions.jsonl",
    ):
        assert (tmp_path / "runs" / made).exists(), made
    assert (tmp_path / "pairs.parquet").is_file()

"""The verb `compare`: a table to read, then JSON; what it says of two runs is `results.paired`'s."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from flowdpo_pl.__main__ import main
from flowdpo_pl.results.paired import paired
from flowdpo_pl.results.predictions import Prediction, read_predictions, to_line
from flowdpo_pl.verbs.compare import compare


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs on four problems, which the second all solves."""
    for name, outcomes in (("a", "1100"), ("b", "1111")):
        rows = [Prediction(f"p{n}", f"q{n}", "1", "", outcome == "1") for n, outcome in enumerate(outcomes)]
        (tmp_path / f"{name}.jsonl").write_text("".join(map(to_line, rows)))
    return tmp_path / "a.jsonl", tmp_path / "b.jsonl"


def test_the_verb_prints_a_table_and_json(
    runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["flowdpo_pl", "compare", *map(str, runs)])
    main()
    printed = capsys.readouterr().out
    assert "4 problems in both" in printed
    assert json.loads(printed.splitlines()[-1])["difference"] == 0.5
    monkeypatch.setattr(sys, "argv", ["flowdpo_pl", "compare", "none.jsonl", str(runs[1])])
    with pytest.raises(SystemExit, match=r"none\.jsonl does not exist"):
        main()


def test_seed_and_resamples_are_those_of_the_bootstrap(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    compare(*runs, seed=5, resamples=3)
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    a, b = map(read_predictions, runs)
    assert said == asdict(paired(a, b, seed=5, resamples=3)) != asdict(paired(a, b))

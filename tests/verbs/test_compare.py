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
    assert asdict(paired(a, b, seed=5, resamples=3)).items() <= said.items()
    assert asdict(paired(a, b)) != asdict(paired(a, b, seed=5, resamples=3))


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, bool | None]]:
    """The remarks under the table, and what the JSON says of both runs."""
    printed = capsys.readouterr().out
    said = json.loads(printed.splitlines()[-1])
    keys = ("same_file", "same_answers", "same_made_by", "same_verifier")
    return printed.rpartition("┘")[2].rpartition("{")[0], {key: said[key] for key in keys}


def with_summary(file: Path, folder: Path, **made_by: object) -> Path:
    folder.mkdir()
    (folder / "predictions.jsonl").write_bytes(file.read_bytes())
    (folder / "summary.json").write_text(json.dumps({"made_by": made_by}))
    return folder


def test_a_file_beside_itself_says_nothing(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link.jsonl").symlink_to(runs[0])
    compare(runs[0], tmp_path / "link.jsonl")
    remark, said = told(capsys)
    assert remark.strip() == "a and b are the same file: the comparison says nothing."
    assert said["same_file"] and said["same_answers"]


def test_tests_made_alike_say_nothing_new(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [with_summary(file, tmp_path / name, seed=0) for file, name in zip(runs, "cd", strict=True)]
    compare(*folders)
    remark, said = told(capsys)
    assert "made alike" in remark and "says nothing new" in remark
    assert said == {"same_file": False, "same_answers": False, "same_made_by": True, "same_verifier": True}


def test_a_copy_is_flagged_though_nobody_knows_how_it_was_made(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "copy.jsonl").write_bytes(runs[0].read_bytes())
    compare(runs[0], tmp_path / "copy.jsonl")
    remark, said = told(capsys)
    assert "the same answers with the same verdicts" in remark
    assert "no summary.json of a test lies beside a and b" in remark
    assert said == {"same_file": False, "same_answers": True, "same_made_by": None, "same_verifier": None}


def test_other_judges_are_told(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [
        with_summary(file, tmp_path / name, verifier=f"{name}Verifier")
        for file, name in zip(runs, "cd", strict=True)
    ]
    compare(*folders)
    remark, said = told(capsys)
    assert "judged differently (a by cVerifier, b by dVerifier)" in remark
    assert said["same_verifier"] is False and said["same_made_by"] is False


def test_tests_that_differ_need_no_remark(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [
        with_summary(file, tmp_path / name, verifier="v", adapters=name)
        for file, name in zip(runs, "cd", strict=True)
    ]
    compare(*folders)
    remark, said = told(capsys)
    assert not remark.strip() and not any(said[key] for key in ("same_file", "same_answers", "same_made_by"))

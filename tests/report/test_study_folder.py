"""A study's folder is its runs of `fit` and the tables of its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.report.study_folder import study_runs, study_tables
from flowdpo_pl.verbs.report_tables import table
from tests.hostile import HOSTILE


def test_its_fits_are_found_by_seed_and_stage(tmp_path: Path) -> None:
    for name, verb in (
        ("seed10/flow", "fit"),
        ("seed2/flow", "fit"),
        ("seed2/a", "fit"),
        ("seed2/test", "test"),
        ("seed2/flow.old", "fit"),
    ):
        stage = tmp_path / name
        stage.mkdir(parents=True)
        (stage / "stage.json").write_text("{}", encoding="utf-8")
        mark = {"verb": verb, "settings": "", "started": ""}
        (stage / "run.json").write_text(json.dumps(mark), encoding="utf-8")
    found = [str(place.relative_to(tmp_path)) for place in study_runs(tmp_path)]
    assert found == ["seed2/a", "seed2/flow", "seed10/flow"]
    assert study_runs(tmp_path / "seed2" / "flow") == []


def test_tables_are_tables_and_texts_stay_texts(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    hostile = next(iter(HOSTILE))
    text = "\n\n".join(
        ["### one", table(["row", "a"], [[hostile, "1.0"], ["x", ""]]), "![p](c.png)", hostile]
    )
    (tmp_path / "report" / "report.md").write_text(text + "\n", encoding="utf-8")
    made = study_tables(tmp_path)
    assert made.startswith("<h3>one</h3>") and made.count("<tr>") == 3 and made.count("<td>") == 4
    assert "<script" not in made and "img" not in made and made.count("&lt;script&gt;") == 2
    row = table(["row"], [["a|b <i> [c](d)"]])
    (tmp_path / "report" / "report.md").write_text(row, encoding="utf-8")
    assert "<td>a|b &lt;i&gt; [c](d)</td>" in study_tables(tmp_path)
    (tmp_path / "report" / "report.md").write_bytes(b"### \xff\n")
    with pytest.raises(UserError, match=r"report\.md, line 1 is not UTF-8"):
        study_tables(tmp_path)
    (tmp_path / "report" / "report.md").write_text("| a row of no table |", encoding="utf-8")
    assert study_tables(tmp_path) == "<p>| a row of no table |</p>"


def test_a_study_that_goes_on_says_so(tmp_path: Path) -> None:
    assert "no report yet" in study_tables(tmp_path)

"""`report` writes a page of what runs came to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowdpo_pl.__main__ import main as run_program
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.run_folder import RunFolder
from flowdpo_pl.verbs.report import report
from tests.finished_runs import copied


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return copied(finished_run, tmp_path / "one")


def test_a_run_s_report_lies_in_its_folder_and_goes_with_it(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name for path in run.iterdir()}
    monkeypatch.setattr("sys.argv", ["flowdpo_pl", "report", str(run), "--open", "false"])
    run_program()
    assert {path.name for path in run.iterdir()} - before == {"report.html"}
    page = run / "report.html"
    assert capsys.readouterr().out == f"{page}: 1 run, {page.stat().st_size / 1e6:.1f} MB\n"
    folder = RunFolder(run, "fit")
    with folder.claimed("other", resumed=False, overwrite=True):
        folder.begin()
    assert not page.exists()


def test_several_runs_have_one_page_beside_them(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copied(run, tmp_path / "two")
    monkeypatch.setattr("sys.argv", ["flowdpo_pl", "report", str(run), str(other), "--limit=3", str(run)])
    run_program()
    page = tmp_path / "one" / "report.html"
    assert capsys.readouterr().out.startswith(f"{page}: 2 runs, ")
    text = page.read_text(encoding="utf-8")
    assert "<title>one/quickstart, two/quickstart</title>" in text
    assert text.count("3 of 16 problems, evenly over the run") == 2
    report([run, other], output=tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").is_file()


def test_a_study_s_tables_and_runs_are_on_one_page(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "study"
    for seed in (0, 1):
        stage = copied(run, study / f"seed{seed}")
        (stage / "stage.json").write_text(json.dumps({"done": True}), encoding="utf-8")
    (study / "report").mkdir()
    (study / "report" / "report.md").write_text(
        "### table 1\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n", "utf-8"
    )
    report([study])
    assert capsys.readouterr().out.startswith(f"{study / 'report.html'}: 2 runs, ")
    text = (study / "report.html").read_text(encoding="utf-8")
    assert "<h2>The study</h2><h3>table 1</h3>" in text and "<td>2</td>" in text


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nothing", r"nothing is no folder: give that of a run of `fit`"),
        (".", r"is no run's folder \(it has no config.yaml\): did you mean "),
        ("one/quickstart/adapters", r"is no run's folder .* did you mean .*one/quickstart\?"),
    ],
)
def test_what_is_no_run_is_refused(run: Path, place: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        report([run.parent.parent / place if place != "." else run.parent])


def test_a_folder_of_a_test_and_a_place_that_can_t_be_written_are_refused(run: Path) -> None:
    with pytest.raises(UserError, match=r"can't be written .* --output=FILE"):
        report([run], output=run / "config.yaml" / "page.html")
    mark = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps({**mark, "verb": "test"}), encoding="utf-8")
    with pytest.raises(UserError, match="is what `test` has made: give the folder of a run of `fit`"):
        report([run])
    with pytest.raises(UserError, match="no run to report"):
        report([])

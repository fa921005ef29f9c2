"""`view` writes a page of what a run has played. Also tests `view.in_browser`, `view.written_page`."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest

from flowdpo_pl.__main__ import main as run_program
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.run_folder import RunFolder
from flowdpo_pl.verbs.view import view
from tests.example_trees import random_tree
from tests.finished_runs import copied
from tests.tree_files import write_trees


@pytest.fixture(autouse=True)
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a browser was asked to open; none is."""
    asked: list[str] = []
    monkeypatch.setattr(webbrowser, "open", asked.append)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return asked


def test_a_run_s_page_lies_in_its_folder_and_goes_with_it(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(finished_run, tmp_path)
    before = {path.name for path in run.iterdir()}
    monkeypatch.setattr("sys.argv", ["flowdpo_pl", "view", str(run)])
    run_program()
    assert {path.name for path in run.iterdir()} - before == {"view.html"}
    page = run / "view.html"
    assert capsys.readouterr().out == f"{page}: 16 of 16 problems, {page.stat().st_size / 1e6:.1f} MB\n"
    folder = RunFolder(run, "fit")
    with folder.claimed("other", resumed=False, overwrite=True):
        folder.begin()
    assert not page.exists()


def test_another_place_other_problems_and_fewer_may_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_trees(tmp_path / "run", [random_tree(seed) for seed in range(9)])
    view(tmp_path / "run", output=tmp_path / "new" / "page.html", problems="2-7", limit=3)
    assert "3 of 9 problems, evenly over those asked for" in capsys.readouterr().out
    assert (tmp_path / "new" / "page.html").is_file() and not (tmp_path / "run" / "view.html").exists()
    view(tmp_path / "run" / "trees.jsonl")
    assert (tmp_path / "run" / "view.html").is_file()


def test_a_place_that_can_t_be_written_is_said(tmp_path: Path) -> None:
    write_trees(tmp_path, [random_tree(1)])
    with pytest.raises(UserError, match=r"can't be written .* --output=FILE"):
        view(tmp_path, output=tmp_path / "trees.jsonl" / "page.html")


@pytest.mark.parametrize(
    ("terminal", "display", "wanted", "opens"),
    [
        (True, ":0", True, True),
        (True, "", True, False),
        (False, ":0", True, False),
        (True, ":0", False, False),
    ],
)
def test_a_browser_opens_only_where_somebody_sits(
    terminal: bool,
    display: str,
    wanted: bool,
    opens: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    looked_at: list[str],
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("DISPLAY", display)
    write_trees(tmp_path, [random_tree(1)])
    view(tmp_path, open=wanted)
    assert looked_at == ([(tmp_path / "view.html").as_uri()] if opens else [])

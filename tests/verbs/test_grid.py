"""A grid of studies: what is run, in which order, its tables and its picture.

Also tests `verbs.grid_picture` and `verbs.grid_tables`.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from flowdpo_pl.errors import UserError
from flowdpo_pl.verbs import grid as grid_module
from flowdpo_pl.verbs.grid import grid
from flowdpo_pl.verbs.grid_picture import GridPicture, draw_grid
from flowdpo_pl.verbs.grid_tables import read_cell, write_tables
from flowdpo_pl.verbs.report_tables import Measured
from flowdpo_pl.verbs.study_stage import Value

STUDY = """
import json, os, pathlib, sys
options = dict(part[2:].split("=", 1) for part in sys.argv[1:])
out = pathlib.Path(options["output"])
with open("calls.txt", "a") as calls:
    words = [out.name, options["seeds"], options.get("report", ""), os.environ["OMP_NUM_THREADS"]]
    calls.write(" ".join(words) + "\\n")
if out.name == pathlib.Path("broken").read_text():
    sys.exit("flowdpo_pl: no such luck")
for seed in json.loads(options["seeds"]):
    stage = out / f"seed{seed}" / "one"
    stage.mkdir(parents=True, exist_ok=True)
    (stage / "stage.json").write_text('{"done": true}')
if "report" not in options:
    steps = int(options["values.steps"])
    (out / "report").mkdir(exist_ok=True)
    rows = [f"difference,true,flow - self,{seed},100,{steps / 100 + seed / 100},{steps / 100 - 0.02},0.3,"
            for seed in json.loads(options["seeds"])]
    head = "kind,table,row,seed,problems,value,low,high,p"
    shares = [f"accuracy,true,flow,{seed},100,{0.5 + seed / 10},0.4,0.7,"
              for seed in json.loads(options["seeds"])]
    (out / "report" / "tables.csv").write_text("\\n".join([head, *rows, *shares]))
    noted = [f"traces,flow,careless,{seed},{steps * (seed + 1)}" for seed in json.loads(options["seeds"])]
    (out / "report" / "sections.csv").write_text("\\n".join(["table,row,column,seed,value", *noted]))
"""
CELLS: dict[str, dict[str, Value]] = {
    "short": {"steps": 3, "lucky": 0.5},
    "long": {"steps": 12, "lucky": 0.5},
}
PICTURE = GridPicture("steps", "lucky", "true", ["flow - self"])


@pytest.fixture(autouse=True)
def fake_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.py").write_text(STUDY)
    Path("broken").write_text("none")
    Path("cell.yaml").write_text("stages: {one: {verb: arms}}")
    monkeypatch.setattr(grid_module, "PROGRAM", (sys.executable, "run.py"))


def calls() -> list[str]:
    return Path("calls.txt").read_text().splitlines() if Path("calls.txt").exists() else []


def test_what_is_shared_comes_first_and_reports_last(capsys: pytest.CaptureFixture[str]) -> None:
    grid(Path("cell.yaml"), CELLS, Path("out"), [0, 1], Path("cell.yaml"), picture=PICTURE)
    told = calls()
    assert sorted(told[:2]) == ["before [0] null 1", "before [1] null 1"]
    assert sorted(told[2:6]) == ["long [0] null 1", "long [1] null 1", "short [0] null 1", "short [1] null 1"]
    assert sorted(told[6:]) == ["long [0, 1]  1", "short [0, 1]  1"]
    page = Path("out/grid.md").read_text()
    assert "| short | +3.0 (+1.0 to +30.0) | +4.0 (+1.0 to +30.0) | +3.5 |" in page
    with Path("out/grid.csv").open() as file:
        assert [(row["cell"], row["kind"], row["seed"]) for row in csv.DictReader(file)] == [
            (cell, kind, seed) for cell in CELLS for kind in ("accuracy", "difference") for seed in "01"
        ]
    assert Path("out/grid.png").read_bytes().startswith(b"\x89PNG")


def test_a_seed_named_twice_is_refused() -> None:
    with pytest.raises(UserError, match="seeds names 1 more than once"):
        grid(Path("cell.yaml"), CELLS, Path("out"), [1, 1])
    assert not calls()


def test_tables_have_a_column_a_cell(capsys: pytest.CaptureFixture[str]) -> None:
    grid(Path("cell.yaml"), CELLS, Path("out"), [0, 1], picture=PICTURE)
    page = Path("out/grid.md").read_text()
    assert "| right, %: mean of seeds (their range) | short | long |" in page
    assert "| flow | 55.0 (50.0 to 60.0) | 55.0 (50.0 to 60.0) |" in page
    assert "| flow - self | +3.5 (+3.0 to +4.0) | +12.5 (+12.0 to +13.0) |" in page
    least = "| not all told from chance below, points: mean of seeds (their range) | short | long |"
    assert least in page and "| all problems | 14.5 (14.5 to 14.5) | 10.0 (10.0 to 10.0) |" in page
    assert "### traces" in page and "| flow: careless | 4.5 (3.0 to 6.0) | 18.0 (12.0 to 24.0) |" in page
    assert page in capsys.readouterr().out
    with Path("out/sections.csv").open() as file:
        noted = [(row["cell"], row["row"], row["seed"], float(row["value"])) for row in csv.DictReader(file)]
    expected = {"short": (3, 6), "long": (12, 24)}
    assert noted == [(cell, "flow", "01"[seed], expected[cell][seed]) for cell in CELLS for seed in (0, 1)]


def test_a_grid_without_a_picture_has_tables_if_its_study_has_a_report() -> None:
    grid(Path("cell.yaml"), CELLS, Path("out"))
    assert not Path("out/grid.md").exists()
    Path("cell.yaml").write_text("stages: {one: {verb: arms}}\nreport: {labels: [steps]}")
    grid(Path("cell.yaml"), CELLS, Path("out"))
    page = Path("out/grid.md").read_text()
    assert page.startswith("### true\n\n| right, % | short | long |") and "| flow | 50.0 | 50.0 |" in page
    assert not Path("out/grid.png").exists()


def test_what_one_cell_lacks_is_left_empty(tmp_path: Path) -> None:
    for cell, row in (("short", "flow"), ("long", "self")):
        (tmp_path / cell).mkdir()
        (tmp_path / cell / "tables.csv").write_text(f"{HEAD}\naccuracy,true,{row},0,100,0.5,0.4,0.6,\n")
    page = write_tables([read_cell(cell, tmp_path / cell) for cell in CELLS], tmp_path)
    assert page.splitlines()[-2:] == ["| flow | 50.0 |  |", "| self |  | 50.0 |"]


def test_a_dry_run_says_how_far_each_is(capsys: pytest.CaptureFixture[str]) -> None:
    done = Path("out/long/seed0/one")
    done.mkdir(parents=True)
    (done / "stage.json").write_text(json.dumps({"done": True}))
    grid(Path("cell.yaml"), CELLS, Path("out"), dry_run=True)
    told = capsys.readouterr().out
    assert not calls() and told.startswith("4 commands. Nothing is run now.")
    assert "# short, seed 0: 0 of 1 stages done" in told and "# long, seed 0: 1 of 1 stages done" in told
    given = "--at_once=1 --values.steps=12 --values.lucky=0.5 '--seeds=[0]' --report=null"
    assert f"--output=out/long {given}" in told


def test_after_a_failure_nothing_new_is_begun() -> None:
    Path("broken").write_text("short")
    with pytest.raises(UserError, match=r"short, seed 0 failed \(flowdpo_pl: no such luck\)"):
        grid(Path("cell.yaml"), CELLS, Path("out"), at_once=1)
    assert calls() == ["short [0] null 1"]


@pytest.mark.parametrize(
    "text",
    [
        b"stages: [",
        b"\xff\xfe",
        b"stages: {1: {verb: arms}}",
        b"stages: [one]",
        b"a: 2024-13-45",
        b"[" * 10**5,
    ],
)
def test_a_study_that_is_none_is_named(text: bytes) -> None:
    Path("cell.yaml").write_bytes(text)
    with pytest.raises(UserError, match=r"cell\.yaml (can't be read as YAML|is no study)"):
        grid(Path("cell.yaml"), CELLS, Path("out"))
    assert not calls()


def test_a_stage_whose_mark_is_spoilt_and_a_folder_that_can_t_be_written_are_named() -> None:
    mark = Path("out/long/seed0/one/stage.json")
    mark.parent.mkdir(parents=True)
    mark.write_text('{"done": "yes"}')
    with pytest.raises(UserError, match=r"long/seed0/one/stage\.json can't be read as the mark of a stage"):
        grid(Path("cell.yaml"), CELLS, Path("out"), dry_run=True)
    Path("file").touch()
    with pytest.raises(UserError, match=r"file/out/short/seed0\.log can't be written \(Not a directory\)"):
        grid(Path("cell.yaml"), CELLS, Path("file/out"), at_once=1)


HEAD = "kind,table,row,seed,problems,value,low,high,p"


@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"\xff\n",
        b"kind,table\ndifference,true\n",
        f"{HEAD}\nguess,true,flow - self,0,100,0,0,0,\n".encode(),
        f"{HEAD}\ndifference,true,flow - self,0,100,x,0,0,\n".encode(),
        f"{HEAD}\ndifference,true,flow - self,0,100,nan,0,0,\n".encode(),
        f"{HEAD}\ndifference,true,flow - self,0\n".encode(),
    ],
)
def test_a_report_of_another_form_is_named(tmp_path: Path, table: bytes) -> None:
    (tmp_path / "tables.csv").write_bytes(table)
    with pytest.raises(UserError, match=r"tables\.csv"):
        read_cell("short", tmp_path)


@pytest.mark.parametrize("row", ["traces,flow,careless,0,nan", "traces,flow", "traces,flow,careless,x,1"])
def test_sections_of_another_form_are_named(tmp_path: Path, row: str) -> None:
    (tmp_path / "tables.csv").write_text(f"{HEAD}\n")
    (tmp_path / "sections.csv").write_text(f"table,row,column,seed,value\n{row}\n")
    with pytest.raises(UserError, match=r"sections\.csv is no table of a report"):
        read_cell("short", tmp_path)


def test_a_study_without_a_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tables\.csv does not exist: give the study a `report`"):
        read_cell("short", tmp_path)


def test_an_interval_that_misses_its_value_by_a_hair_is_drawn(tmp_path: Path) -> None:
    numbers = {
        cell: [Measured("true", "flow - self", 0, 100, 0.1, 0.10000000000000003, 0.2)] for cell in CELLS
    }
    draw_grid(PICTURE, CELLS, numbers, tmp_path / "grid.png")
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_panel_for_each_difference_two_in_a_row(number: int, tmp_path: Path, figures: list[Figure]) -> None:
    names = [f"row {n} - self" for n in range(number)]
    measured = [Measured("true", name, seed, 100, 0.1, 0.0, 0.2) for name in names for seed in (0, 1)]
    picture = GridPicture("steps", "lucky", "true", names)
    draw_grid(picture, CELLS, {cell: measured for cell in CELLS}, tmp_path / "grid.png")
    panels = figures[0].axes
    assert [axes.get_title().splitlines()[0] for axes in panels] == names
    assert {axes.get_subplotspec().get_geometry()[1] for axes in panels} == {min(2, number)}  # type: ignore[union-attr]
    (line,) = (line for line in panels[0].lines if line.get_linewidth() > 2)
    assert list(line.get_ydata()) == [10, 10], "the mean of the seeds over both cells"  # type: ignore[arg-type]


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="cells is empty"):
        grid(Path("cell.yaml"), {}, Path("out"))
    with pytest.raises(UserError, match=r"the study none.yaml does not exist"):
        grid(Path("none.yaml"), CELLS, Path("out"))
    with pytest.raises(UserError, match="value 'length', which cell 'short' lacks"):
        grid(Path("cell.yaml"), CELLS, Path("out"), picture=GridPicture("length", "lucky", "true", ["a - b"]))
    for differences in ([], ["a - b", "a - b"]):
        with pytest.raises(UserError, match=r"picture\.differences is .*: name at least one, each once"):
            picture = GridPicture("steps", "lucky", "true", differences)
            grid(Path("cell.yaml"), CELLS, Path("out"), picture=picture)
    assert not calls()  # nothing was run for it
    with pytest.raises(
        UserError, match=r"'short' has no difference 'a - b' in 'true': it has \['flow - self'\]"
    ):
        grid(Path("cell.yaml"), CELLS, Path("out"), picture=GridPicture("steps", "lucky", "true", ["a - b"]))

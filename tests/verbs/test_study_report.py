"""Tables, differences and curves of a study, from hand-made files."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.measure.intervals import wilson
from flowdpo_pl.results.predictions import Prediction, to_line
from flowdpo_pl.verbs.study_report import Report, write_report

REPORT = Report(
    tables={"greedy": {"self": "{test_self}/p.jsonl", "flow": "{test_flow}/p.jsonl"}},
    differences=[["self", "flow"]],
    curves={"trained": "{fit}/curve.csv", "untrained": "{fit}/flat.csv"},
    arms="{arms}/arms.json",
    notes=["A remark."],
)
HEAD = "problems,progressive_accuracy,progressive_low,progressive_high,window_accuracy,window_low,window_high"


def predictions(file: Path, right: int, of: int = 20) -> None:
    rows = [Prediction(f"p{n}", f"q{n}", "1", "t", n < right) for n in range(of)]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(map(to_line, rows)))


@pytest.fixture
def folders(tmp_path: Path) -> dict[int, dict[str, Path]]:
    found = {}
    for seed, (own, flow) in enumerate([(10, 15), (12, 13)]):
        names = ("test_self", "test_flow", "fit", "arms")
        found[seed] = {name: tmp_path / f"seed{seed}" / name for name in names}
        predictions(found[seed]["test_self"] / "p.jsonl", own)
        predictions(found[seed]["test_flow"] / "p.jsonl", flow)
        for name in ("fit", "arms"):
            found[seed][name].mkdir()
        (found[seed]["fit"] / "curve.csv").write_text(
            f"{HEAD}\n32,0.25,0.1,0.4,0.25,0.1,0.4\n64,0.5,0.3,0.7,0.75,0.6,0.9\n"
        )
        (found[seed]["fit"] / "flat.csv").write_text(f"{HEAD}\n64,0.2,0.1,0.3,0.2,0.1,0.3\n")
        (found[seed]["fit"] / "stage.json").write_text('{"seconds": 12.5}')
        arm = {"right": 9, "problems": 10, "acceptance": 0.9, "attempts": 14, "generated_tokens": 300}
        facts = {
            "problems": {"offered": 10, "right_in_every_arm": 8, "kept": 8},
            "arms": {"flow": arm},
            "in_the_flow_s_stream": {"count": 0, "ids": []},
        }
        (found[seed]["arms"] / "arms.json").write_text(json.dumps(facts))
    return found


def test_a_column_for_each_seed_then_the_range(folders: dict[int, dict[str, Path]], tmp_path: Path) -> None:
    write_report(REPORT, folders, tmp_path / "report")
    page = (tmp_path / "report" / "report.md").read_text()
    cells = [
        f"{5 * n:.1f} ({100 * low:.1f} to {100 * high:.1f})"
        for n in (15, 13)
        for low, high in [wilson(n, 20)]
    ]
    assert f"| flow | 20 | {cells[0]} | {cells[1]} | 65.0 to 75.0 |" in page
    assert "| right, % (95 %, Wilson) | problems | seed 0 | seed 1 | range |" in page
    assert "| flow - self | 20 | +25.0 (" in page and "| +5.0 to +25.0 |" in page
    end = "50.0 (30.0 to 70.0)"
    assert f"| trained | 64 | {end} | {end} | 50.0 to 50.0 |" in page and "![Progressive" in page
    assert "| flow | 1 | 9 of 10 (90.0 %) | 14 | 300 | 8 of 10 | 0 |" in page
    assert "| fit | 12.5 | 12.5 |" in page and page.endswith("A remark.\n")


def test_one_seed_has_no_range(folders: dict[int, dict[str, Path]], tmp_path: Path) -> None:
    write_report(REPORT, {1: folders[1]}, tmp_path / "report")
    assert "range" not in (tmp_path / "report" / "report.md").read_text()


def test_tables_and_curves_as_csv_and_png(folders: dict[int, dict[str, Path]], tmp_path: Path) -> None:
    out = tmp_path / "report"
    write_report(REPORT, folders, out)
    with (out / "tables.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["kind"], row["row"], row["seed"], float(row["value"])) for row in rows] == [
        ("accuracy", "self", "0", 0.5),
        ("accuracy", "flow", "0", 0.75),
        ("accuracy", "self", "1", 0.6),
        ("accuracy", "flow", "1", 0.65),
        ("difference", "flow - self", "0", pytest.approx(0.25)),
        ("difference", "flow - self", "1", pytest.approx(0.05)),
    ]
    assert float(rows[4]["p"]) == pytest.approx(2 / 2**5)  # five discordant pairs, all for the flow
    with (out / "curves.csv").open() as file:
        points = [(row["curve"], row["seed"], row["problems"]) for row in csv.DictReader(file)]
    assert points[:2] == [("trained", "0", "32"), ("trained", "0", "64")] and len(points) == 6
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_missing_is_named(folders: dict[int, dict[str, Path]], tmp_path: Path) -> None:
    (folders[0]["fit"] / "flat.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"flat.csv is no accuracy curve"):
        write_report(REPORT, folders, tmp_path)
    (folders[0]["fit"] / "flat.csv").unlink()
    with pytest.raises(UserError, match=r"curve .*flat.csv does not exist"):
        write_report(REPORT, folders, tmp_path)
    (folders[1]["test_flow"] / "p.jsonl").unlink()
    with pytest.raises(UserError, match=r"p.jsonl does not exist"):
        write_report(REPORT, folders, tmp_path)


@pytest.mark.parametrize("pair", [["a", "c"], ["a", "z"], ["a"]])
def test_a_difference_that_no_table_can_tell_is_refused(pair: list[str]) -> None:
    told = rf"report\.differences has {re.escape(str(pair))}: give two rows of one table"
    with pytest.raises(UserError, match=told):
        Report(tables={"t": {"a": "x", "b": "y"}, "u": {"z": "x"}}, differences=[pair])


def test_differences_by_label_and_the_smallest_that_they_tell(
    folders: dict[int, dict[str, Path]], tmp_path: Path
) -> None:
    for seed in folders:
        for row, right in (("test_self", {"3": 10, "12": 2}), ("test_flow", {"3": 10, "12": 7})):
            file = folders[seed][row] / "p.jsonl"
            lines = [
                to_line(
                    Prediction(f"{steps}-{n}", f"{steps} {n}", "1", "t", n < number, labels={"steps": steps})
                )
                for steps, number in right.items()
                for n in range(10)
            ]
            file.write_text("".join(lines))
    write_report(replace(REPORT, labels=["steps"]), folders, tmp_path / "report")
    page = (tmp_path / "report" / "report.md").read_text()
    rows = [line.split(" | ")[:2] for line in page.splitlines() if line.startswith("| flow - self")]
    assert rows == [
        ["| flow - self", "20"],
        ["| flow - self, steps 3", "10"],
        ["| flow - self, steps 12", "10"],
    ]
    assert "| flow - self, steps 3 | 10 | +0.0 (+0.0 to +0.0), p = 1 |" in page
    told = r"Differences below \d+\.\d points of 20 problems, or \d+\.\d of some of them, can't all be told"
    assert re.search(told, page)


def test_tables_that_a_stage_wrote_are_shown_seed_by_seed(
    folders: dict[int, dict[str, Path]], tmp_path: Path
) -> None:
    for seed in folders:
        (folders[seed]["fit"] / "own.csv").write_text(f"what,share\ncareless,{seed}.5\n")
    report = replace(REPORT, sections={"traces": "{fit}/own.csv"})
    write_report(report, folders, tmp_path / "report")
    page = (tmp_path / "report" / "report.md").read_text()
    head = "### traces\n\n| seed | what | share |\n| --- | --- | --- |"
    assert f"{head}\n| 0 | careless | 0.5 |\n| 1 | careless | 1.5 |" in page
    rows = (tmp_path / "report" / "sections.csv").read_text().split()
    assert rows == [
        "table,row,column,seed,value",
        "traces,careless,share,0,0.5",
        "traces,careless,share,1,1.5",
    ]
    with pytest.raises(UserError, match=r"the report's table .*none.csv does not exist"):
        write_report(replace(report, sections={"traces": "{fit}/none.csv"}), folders, tmp_path / "report")

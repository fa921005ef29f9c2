"""Tables of Markdown: seeds side by side, holes where one has nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.verbs.report_tables import (
    Measured,
    Noted,
    arms_table,
    csv_table,
    noted,
    resolved,
    seeds_table,
    table,
)


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [[1, "x"], [2.5, ""]]) == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2.5 |  |"


def test_rows_and_seeds_stand_in_the_order_they_come_and_are_never_pooled() -> None:
    numbers = [
        Measured("t", "flow", 3, 20, 0.75, 0.5, 0.9),
        Measured("t", "flow", 1, 20, 0.5, 0.3, 0.7),
        Measured("t", "self", 3, 20, 0.25, 0.1, 0.4),
    ]
    assert seeds_table(numbers, "right, %", "{:.0f}").splitlines() == [
        "| right, % | problems | seed 3 | seed 1 | range |",
        "| --- | --- | --- | --- | --- |",
        "| flow | 20 | 75 (50 to 90) | 50 (30 to 70) | 50 to 75 |",
        "| self | 20 | 25 (10 to 40) |  | 25 to 25 |",
    ]


def test_one_seed_has_no_range_and_a_difference_has_its_p() -> None:
    numbers = [Measured("t", "b - a", 0, 20, 0.125, -0.05, 0.3, p=0.0625)]
    *_, row = seeds_table(numbers, "points", "{:+.1f}").splitlines()
    assert row == "| b - a | 20 | +12.5 (-5.0 to +30.0), p = 0.062 |"


def test_other_numbers_of_problems_are_all_named() -> None:
    numbers = [Measured("t", "flow", seed, problems, 0.5, 0, 1) for seed, problems in ((0, 64), (1, 32))]
    assert "| flow | 32, 64 |" in seeds_table(numbers, "", "{:.0f}")


@pytest.mark.parametrize(("overlap", "stated"), [(None, "unknown"), ({"count": 2, "ids": ["a", "b"]}, "2")])
def test_an_arm_says_whether_its_prompts_are_in_the_stream(
    tmp_path: Path, overlap: object, stated: str
) -> None:
    arm = {"right": 9, "problems": 10, "acceptance": 0.9, "attempts": 14, "generated_tokens": 300}
    facts = {"problems": {"offered": 10, "kept": 8}, "arms": {"flow": arm}, "in_the_flow_s_stream": overlap}
    (tmp_path / "arms.json").write_text(json.dumps(facts))
    *_, row = arms_table({4: tmp_path / "arms.json"}).splitlines()
    assert row == f"| flow | 4 | 9 of 10 (90.0 %) | 14 | 300 | 8 of 10 | {stated} |"


def test_arms_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the report's arms .*arms.json does not exist"):
        arms_table({0: tmp_path / "arms.json"})


@pytest.mark.parametrize("content", ["{", "[1]", '{"problems": {}}', '{"arms": 5}', "[" * 100_000])
def test_arms_of_another_form_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "arms.json").write_text(content)
    with pytest.raises(
        UserError, match=r"arms\.json (is no arms\.json of `arms`|can't be read as the arms\.json)"
    ):
        arms_table({0: tmp_path / "arms.json"})


@pytest.mark.parametrize("content", [b"", b"\xff\n", b'"' + b"x" * 200_000])
def test_a_table_of_another_form_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"t\.csv( is empty| is no CSV file|, line 1 is not UTF-8)"):
        csv_table({0: tmp_path / "t.csv"})


def test_numbers_of_a_table_are_noted_by_the_first_cell_of_their_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("traces,right,how\nflow,400,well\nself,,nan\n")
    assert list(noted("traces", {2: tmp_path / "t.csv"})) == [Noted("traces", "flow", "right", 2, 400.0)]


def test_labels_and_names_are_texts_whatever_they_hold(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('level,"a|b"\n"<img src=x>\n2",1\n')
    assert csv_table({3: tmp_path / "t.csv"}).splitlines() == [
        r"| seed | level | a\|b |",
        "| --- | --- | --- |",
        r"| 3 | \<img src=x>\\n2 | 1 |",
    ]
    numbers = [Measured("t", "b - a, level ![x](//y)|", 0, 20, 0.125, -0.05, 0.3)]
    assert (
        seeds_table(numbers, "points", "{:+.1f}")
        .splitlines()[2]
        .startswith(r"| b - a, level !\[x](//y)\| | 20 |")
    )


def test_what_can_t_be_told_is_half_the_widest_interval_of_all_problems_and_of_some() -> None:
    of_all = [Measured("t", name, 0, 1000, 0.1, low, 0.2) for name, low in (("a", 0.1), ("b", 0.0))]
    assert (
        resolved(of_all) == "Differences below 10.0 points of 1,000 problems can't all be told from chance."
    )
    assert resolved([*of_all, Measured("t", "a, steps 3", 0, 40, 0.1, -0.2, 0.4)]) == (
        "Differences below 10.0 points of 1,000 problems, or 30.0 of some of them, "
        "can't all be told from chance."
    )

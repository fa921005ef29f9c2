"""Accuracy curves: read back as written, refused where they are none, drawn one or several."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.curves import Curve, draw_curves, draw_measured, draw_run, read_curve, write_curves

COLUMNS = [f"{kind}_{part}" for kind in ("progressive", "window") for part in ("accuracy", "low", "high")]


def curve_file(path: Path, *rows: tuple[float, ...]) -> Path:
    """A file of problems, then six numbers a row, with a column of pairs that nobody reads here."""
    lines = [["problems", *COLUMNS, "answer_pairs"], *([*row, 3] for row in rows)]
    path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    return path


def test_a_file_gives_its_numbers_by_kind(tmp_path: Path) -> None:
    file = curve_file(tmp_path / "c.csv", (32, 0.25, 0.1, 0.4, 0.3, 0.2, 0.5), (64, 0.5, 0.3, 0.7, 1, 0.6, 1))
    curve = read_curve(file, "flow", 2)
    assert (curve.name, curve.seed, curve.problems) == ("flow", 2, [32, 64])
    assert curve.of("progressive") == ([0.25, 0.5], [0.1, 0.3], [0.4, 0.7])
    assert curve.of("window") == ([0.3, 1.0], [0.2, 0.6], [0.5, 1.0])


def test_the_gathered_file_holds_every_point_of_every_curve(tmp_path: Path) -> None:
    rows = {"a": [(8, 0, 0, 0, 0, 0, 0.5), (16, 1, 1, 1, 1, 1, 1)], "b": [(8, 0.25, 0, 1, 0.25, 0, 1)]}
    curves = [
        read_curve(curve_file(tmp_path / name, *points), name, seed)
        for seed, (name, points) in enumerate(rows.items())
    ]
    write_curves(tmp_path / "all.csv", curves)
    with (tmp_path / "all.csv").open(newline="") as file:
        head, *points = list(csv.reader(file))
    assert head == ["curve", "seed", "problems", *COLUMNS]
    assert [(name, seed, *map(float, numbers)) for name, seed, *numbers in points] == [
        ("a", "0", *rows["a"][0]),
        ("a", "0", *rows["a"][1]),
        ("b", "1", *rows["b"][0]),
    ]


def test_what_is_no_curve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the curve .*none.csv does not exist"):
        read_curve(tmp_path / "none.csv", "x", 0)
    for content in ("", "problems,progressive_accuracy\n8,0.5\n"):
        (tmp_path / "other.csv").write_text(content)
        with pytest.raises(UserError, match=r"other.csv is no accuracy curve"):
            read_curve(tmp_path / "other.csv", "x", 0)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("8,x,0,1,0.5,0,1,3", "progressive_accuracy is 'x', no number from 0 to 1"),
        ("8,0.5,nan,1,0.5,0,1,3", "progressive_low is 'nan'"),
        ("8,0.5,0,1,0.5,0,1e300,3", "window_high is '1e300'"),
        ("8,0.5", "progressive_low is ''"),
        ("inf,0.5,0,1,0.5,0,1,3", "problems is 'inf'"),
        (",0.5,0,1,0.5,0,1,3", "problems is ''"),
    ],
)
def test_a_row_of_other_things_than_numbers_is_named(tmp_path: Path, row: str, told: str) -> None:
    file = curve_file(tmp_path / "c.csv", (4, 0.5, 0, 1, 0.5, 0, 1))
    file.write_text(f"{file.read_text()}{row}\n")
    with pytest.raises(UserError, match=rf"c\.csv, line 3: {told}.*: remove the row"):
        read_curve(file, "x", 0)


def test_a_row_that_was_cut_off_is_left_out_and_other_encodings_are_named(tmp_path: Path) -> None:
    file = curve_file(tmp_path / "c.csv", (4, 0.5, 0, 1, 0.5, 0, 1))
    whole = file.read_bytes()
    file.write_bytes(whole + b"8,0.2")
    assert read_curve(file, "x", 0).problems == [4]
    file.write_bytes(whole + b"\xff\n")
    with pytest.raises(UserError, match=r"c\.csv, line 3 is not UTF-8"):
        read_curve(file, "x", 0)
    file.write_bytes(whole + b'"' + b"x" * 200_000 + b'"\n')
    with pytest.raises(UserError, match=r"c\.csv is no table"):
        read_curve(file, "x", 0)


def test_a_run_s_picture_says_where_it_began_and_uses_its_space(
    tmp_path: Path, figures: list[Figure]
) -> None:
    points = [(8, 0.5, 0, 1, 0.5, 0.42, 0.6), (16, 0.6, 0.2, 0.8, 0.6, 0.5, 0.68)]
    draw_run(read_curve(curve_file(tmp_path / "c.csv", *points), "a", 0), tmp_path / "p.png")
    (axes,), (legend,) = figures[0].axes, figures[0].legends
    assert axes.get_ylim() == (40, 70), "the wide interval of all problems at the beginning is cut"
    assert [text.get_text() for text in legend.get_texts()][-1] == (
        "at the start: 50 % of the first 8, before any update"
    )


def test_a_curve_that_goes_on_from_elsewhere_claims_no_start(tmp_path: Path, figures: list[Figure]) -> None:
    points = [(408, 0.5, 0, 1, 0.5, 0.4, 0.6), (416, 0.6, 0.2, 0.8, 0.6, 0.5, 0.7)]
    for number in (2, 1):
        draw_run(read_curve(curve_file(tmp_path / "c.csv", *points[:number]), "a", 0), tmp_path / "p.png")
    assert [len(figure.axes[0].lines) for figure in figures] == [2, 2]


def test_a_measurement_is_a_bar_with_its_interval(tmp_path: Path, figures: list[Figure]) -> None:
    draw_measured(0.25, 0.125, 0.5, 16, tmp_path / "p.png")
    (axes,) = figures[0].axes
    assert axes.patches[0].get_bbox().width == 25
    assert axes.get_title() == "25.0 % right of 16 problems (95 %: 12.5 to 50.0)"


def drawn(curves: list[Curve], figures: list[Figure], folder: Path) -> tuple[list[Axes], list[str], str]:
    """The panels, and what the legend says: its entries and its title."""
    draw_curves(curves, folder / "p.png")
    assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")
    (legend,) = figures[-1].legends
    return figures[-1].axes, [text.get_text() for text in legend.get_texts()], legend.get_title().get_text()


def test_each_curve_has_its_interval_and_is_in_the_legend_once(tmp_path: Path, figures: list[Figure]) -> None:
    file = curve_file(tmp_path / "c.csv", (8, 0.5, 0, 1, 0.5, 0, 1), (16, 0.5, 0.2, 0.8, 0.5, 0.2, 0.8))
    for names in (["a"], ["a", "b"]):
        panels, entries, title = drawn([read_curve(file, name, 0) for name in names], figures, tmp_path)
        assert [(len(axes.lines), len(axes.collections)) for axes in panels] == [(len(names),) * 2] * 2
        assert (entries, title) == (names, "bands: 95 % intervals")


def test_several_seeds_are_thin_and_their_mean_is_thick_where_all_of_them_are(
    tmp_path: Path, figures: list[Figure]
) -> None:
    rows = [(8, 0.5, 0, 1, 0.5, 0, 1), (16, 0.25, 0.2, 0.8, 0.5, 0.2, 0.8)]
    further = [(8, 0.75, 0, 1, 0, 0, 1), (16, 0.5, 0.2, 0.8, 0.5, 0.2, 0.8), (24, 1, 1, 1, 1, 1, 1)]
    curves = [
        read_curve(curve_file(tmp_path / f"{seed}.csv", *points), "a", seed)
        for seed, points in enumerate((rows, further))
    ]
    (progressive, window), entries, title = drawn(curves, figures, tmp_path)
    one, two, mean = progressive.lines
    assert one.get_linewidth() == two.get_linewidth() < mean.get_linewidth()
    assert (list(mean.get_xdata()), list(mean.get_ydata())) == ([8, 16], [62.5, 37.5])
    assert list(window.lines[-1].get_ydata()) == [25, 50]
    assert len(progressive.collections) == len(window.collections) == 2
    assert entries == ["a"] and title.startswith("thin: a seed, thick: their mean")

"""The charts hold the curve's own numbers."""

from __future__ import annotations

import pytest

from flowdpo_pl.report.accuracy_charts import mean_curve, run_chart, runs_charts
from flowdpo_pl.results.curves import Curve


def curve(name: str, values: list[float], seed: int = 0, first: int = 8) -> Curve:
    parts = {"accuracy": 0.0, "low": -0.1, "high": 0.1}
    problems = [first + 8 * number for number in range(len(values))]
    columns = {
        f"{kind}_{part}": [value + by + (0.05 if kind == "window" else 0.0) for value in values]
        for kind in ("progressive", "window")
        for part, by in parts.items()
    }
    return Curve(name, seed, problems, columns)


def test_a_run_has_both_lines_their_bands_and_where_it_began() -> None:
    one = curve("one", [0.25, 0.5, 0.75])
    traces = {trace["name"]: trace for trace in run_chart(one).traces if "name" in trace}
    assert set(traces) == {"right of all problems so far", "right of the latest problems", "untrained, 25 %"}
    window = traces["right of the latest problems"]
    assert window["x"] == [8, 16, 24] and window["y"] == pytest.approx([30, 55, 80])
    assert window["customdata"][1] == pytest.approx((45, 65))
    bands = [trace for trace in run_chart(one).traces if trace.get("fill") == "tonexty"]
    assert [band["y"] for band in bands] == [
        pytest.approx([100 * high for high in one.of(kind)[2]]) for kind in ("progressive", "window")
    ]
    assert traces["untrained, 25 %"]["y"] == [25, 25]


def test_a_curve_that_begins_later_has_no_untrained_level() -> None:
    assert not any(
        "untrained" in trace.get("name", "") for trace in run_chart(curve("a", [0.5, 0.6], first=80)).traces
    )


def test_seeds_are_thin_and_their_mean_is_thick() -> None:
    seeds = [curve("one", [0.2, 0.4, 0.6]), curve("two", [0.4, 0.8], seed=1)]
    window, progressive = runs_charts({"group": seeds, "other": [curve("other", [0.1, 0.1])]})
    lines = {trace["name"]: trace for trace in progressive.traces}
    assert lines["one"]["line"]["width"] == lines["two"]["line"]["width"] == 1
    mean = lines["group, mean of 2 seeds"]
    assert mean["line"]["width"] > lines["other"]["line"]["width"] > 1
    assert mean["x"] == [8, 16] and mean["y"] == pytest.approx([30, 60])
    assert mean_curve(seeds, "progressive") == ([8, 16], pytest.approx([0.3, 0.6]))
    assert lines["other"]["line"]["color"] != mean["line"]["color"]
    assert "latest" in window.title and "untrained, 30 %" in lines

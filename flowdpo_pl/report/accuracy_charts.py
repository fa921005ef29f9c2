"""Accuracy over the problems: one run with its intervals; several with their seeds and these's mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from flowdpo_pl.report.chart import Chart, Trace, color, line
from flowdpo_pl.results.curves import CURVES, Curve, untrained
from flowdpo_pl.view.selection import evenly

_MOST = 1500
"""Points of a line: more than a screen has."""
_HOVER = "%{y:.1f} %"
_X = {"title": {"text": "problems"}, "rangemode": "tozero"}
_BEFORE = "Each problem is judged before it is learnt from."
_DASHES = ("solid", "dashdot", "dot")
"""Of lines whose colours come again."""


def run_chart(curve: Curve) -> Chart:
    """A run's accuracy of its latest and of all problems, with 95 % intervals, and where it began."""
    traces: list[Trace] = []
    for kind, colored in (("progressive", "var(--second)"), ("window", "var(--first)")):
        at = evenly(range(len(curve.problems)), _MOST)
        x = [curve.problems[i] for i in at]
        value, low, high = ([100 * values[i] for i in at] for values in curve.of(kind))
        band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        traces += [
            {"type": "scatter", "x": x, "y": low, "legendgroup": kind, **band},
            {
                "type": "scatter",
                "x": x,
                "y": high,
                "legendgroup": kind,
                "fill": "tonexty",
                "fillcolor": f"{colored}/{16 if kind == 'window' else 9}",
                **band,
            },
            line(
                x,
                value,
                f"right {CURVES[kind]}",
                colored,
                "%{y:.1f} % (%{customdata[0]:.1f} to %{customdata[1]:.1f})",
                customdata=list(zip(low, high, strict=True)),
                legendgroup=kind,
            ),
        ]
    note = f"{_BEFORE} Bands: 95 % intervals; that of all problems holds at all times together."
    if (first := untrained(curve)) is not None:
        traces.append(_level(first, curve.problems[-1], f"untrained, {first:.0f} %", "var(--quiet)"))
        note += f" Untrained: the first {curve.problems[0]:,} problems, which no update came before."
    return Chart("Right answers", note, traces, _layout([curve], list(CURVES)))


def runs_charts(groups: Mapping[str, Sequence[Curve]]) -> list[Chart]:
    """The same of several runs, a chart a kind: seeds thin, their mean thick where a group has several.

    Args:
        groups: by name, the curves of runs that differ in nothing but the seed.
    """
    return [_kind_chart(kind, groups) for kind in reversed(CURVES)]


def _kind_chart(kind: str, groups: Mapping[str, Sequence[Curve]]) -> Chart:
    traces: list[Trace] = []
    ends = max(curve.problems[-1] for curves in groups.values() for curve in curves)
    for number, (name, curves) in enumerate(groups.items()):
        several, colored = len(curves) > 1, color(number)
        of_group = {"legendgroup": str(number), "dash": _DASHES[number // 6 % len(_DASHES)]}
        for curve in curves:
            at = evenly(range(len(curve.problems)), _MOST)
            x = [curve.problems[i] for i in at]
            y = [100 * curve.of(kind)[0][i] for i in at]
            thin = {"width": 1, "showlegend": False} if several else {}
            traces.append(
                line(x, y, curve.name, f"{colored}/55" if several else colored, _HOVER, **thin, **of_group)
            )
        if several:
            problems, means = mean_curve(curves, kind)
            at = evenly(range(len(problems)), _MOST)
            x, y = [problems[i] for i in at], [100 * means[i] for i in at]
            words = f"{name}, mean of {len(curves)} seeds"
            traces.append(line(x, y, words, colored, _HOVER, width=3.5, **of_group))
        starts = [start for curve in curves if (start := untrained(curve)) is not None]
        if starts:
            level = sum(starts) / len(starts)
            drawn = _level(level, ends, f"untrained, {level:.0f} %", f"{colored}/80")
            traces.append({**drawn, "legendgroup": str(number), "showlegend": len(groups) == 1})
    seeds = any(len(curves) > 1 for curves in groups.values())
    note = f"{_BEFORE} A line a run"
    note += (
        "; thick: the mean of runs that differ in the seed alone, where all have a value." if seeds else "."
    )
    curves = [curve for group in groups.values() for curve in group]
    note += " Level dashed lines: untrained, the first batch, which no update came before."
    return Chart(f"Right {CURVES[kind]}", note, traces, _layout(curves, [kind], intervals=False))


def mean_curve(curves: Sequence[Curve], kind: str) -> tuple[list[int], list[float]]:
    """The mean accuracy at the numbers of problems that all curves have."""
    values = [dict(zip(curve.problems, curve.of(kind)[0], strict=True)) for curve in curves]
    problems = sorted(set.intersection(*(set(one) for one in values)))
    return problems, [sum(one[at] for one in values) / len(values) for at in problems]


def _level(percent: float, end: int, name: str, colored: str) -> Trace:
    ends = [percent, percent]
    drawn = line([0, end], ends, name, colored, "", dash="dash", width=1.5, hoverinfo="skip")
    return {key: value for key, value in drawn.items() if key != "hovertemplate"}


def _layout(curves: Sequence[Curve], kinds: Sequence[str], intervals: bool = True) -> dict[str, object]:
    """Tens of percent around the lines and the latest problems' intervals: those of all begin very wide."""
    shown = [value for curve in curves for kind in kinds for value in curve.of(kind)[0]]
    if intervals:
        shown += [value for curve in curves for part in curve.of("window")[1:] for value in part]
    least, most = 10 * math.floor(10 * min(shown)), 10 * math.ceil(10 * max(shown))
    y = {"title": {"text": "right, %"}, "range": [least, max(most, least + 10)]}
    return {"xaxis": _X, "yaxis": y, "height": 400}

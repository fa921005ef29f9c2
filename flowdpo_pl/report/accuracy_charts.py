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
_X = {"title": {"text": "problems, each judged before it was learnt from"}, "rangemode": "tozero"}


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
    note = "Bands: 95 % intervals; that of all problems holds at all times together."
    if (first := untrained(curve)) is not None:
        traces.append(_level(first, curve.problems[-1], f"untrained, {first:.0f} %", "var(--quiet)"))
        note += f" Untrained: the first {curve.problems[0]:,} problems, which no update came before."
    return Chart("Accuracy", note, traces, _layout([curve], list(CURVES)))


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
        several = len(curves) > 1
        for curve in curves:
            at = evenly(range(len(curve.problems)), _MOST)
            traces.append(
                line(
                    [curve.problems[i] for i in at],
                    [100 * curve.of(kind)[0][i] for i in at],
                    curve.name,
                    f"{color(number)}/55" if several else color(number),
                    _HOVER,
                    width=1 if several else 2,
                    legendgroup=str(number),
                    showlegend=not several,
                )
            )
        if several:
            problems, means = mean_curve(curves, kind)
            at = evenly(range(len(problems)), _MOST)
            x, y = [problems[i] for i in at], [100 * means[i] for i in at]
            words = f"{name}, mean of {len(curves)} seeds"
            traces.append(line(x, y, words, color(number), _HOVER, width=3.5, legendgroup=str(number)))
        starts = [start for curve in curves if (start := untrained(curve)) is not None]
        if starts:
            level = sum(starts) / len(starts)
            words = f"untrained, {level:.0f} %" + (f" ({name})" if len(groups) > 1 else "")
            traces.append(_level(level, ends, words, f"{color(number)}/80"))
    note = "A thin line a run; thick: the mean of runs that differ in the seed alone, where all have a value."
    if all(len(curves) == 1 for curves in groups.values()):
        note = "A line a run."
    curves = [curve for group in groups.values() for curve in group]
    note += " Dashed: untrained, the first batch, which no update came before."
    return Chart(f"Right {CURVES[kind]}", note, traces, _layout(curves, [kind], intervals=False))


def mean_curve(curves: Sequence[Curve], kind: str) -> tuple[list[int], list[float]]:
    """The mean accuracy at the numbers of problems that all curves have."""
    values = [dict(zip(curve.problems, curve.of(kind)[0], strict=True)) for curve in curves]
    problems = sorted(set.intersection(*(set(one) for one in values)))
    return problems, [sum(one[at] for one in values) / len(values) for at in problems]


def _level(percent: float, end: int, name: str, colored: str) -> Trace:
    ends = [percent, percent]
    return line([0, end], ends, name, colored, "%{y:.1f} %", dash="dash", width=1.5, hoverinfo="skip") | {
        "hovertemplate": None
    }


def _layout(curves: Sequence[Curve], kinds: Sequence[str], intervals: bool = True) -> dict[str, object]:
    """Tens of percent around the lines and the latest problems' intervals: those of all begin very wide."""
    shown = [value for curve in curves for kind in kinds for value in curve.of(kind)[0]]
    if intervals:
        shown += [value for curve in curves for part in curve.of("window")[1:] for value in part]
    least, most = 10 * math.floor(10 * min(shown)), 10 * math.ceil(10 * max(shown))
    y = {"title": {"text": "right, %"}, "range": [least, max(most, least + 10)]}
    return {"xaxis": _X, "yaxis": y, "height": 400}

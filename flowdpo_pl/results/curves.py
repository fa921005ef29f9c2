"""Accuracy curves of runs: the CSV files of `AccuracyCurve`, read, drawn and gathered."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = {"progressive": "of all problems so far", "window": "of the latest problems"}
"""Kinds of curve in `AccuracyCurve`'s files, in words."""
_MOST_PROBLEMS = 2**53
"""What a float counts exactly."""


@dataclass(frozen=True)
class Curve:
    """A progressive accuracy under one seed."""

    name: str
    seed: int
    problems: list[int]
    values: dict[str, list[float]]
    """`progressive_accuracy`, `progressive_low`, …, as in the CSV."""

    def of(self, kind: str) -> tuple[list[float], list[float], list[float]]:
        """Accuracies of a kind, then the low and high ends of their intervals."""
        accuracy, low, high = (self.values[f"{kind}_{part}"] for part in ("accuracy", "low", "high"))
        return accuracy, low, high


def read_curve(path: Path, name: str, seed: int) -> Curve:
    """A curve that `AccuracyCurve` wrote, whole rows alone: the last one may have been cut off.

    Raises:
        UserError: the file does not exist, lacks a column, has no row, or one of other things than numbers.
    """
    if not path.is_file():
        raise UserError(f"the curve {path} does not exist: give an accuracy_curve.csv of a run.")
    keys = [f"{kind}_{part}" for kind in CURVES for part in ("accuracy", "low", "high")]
    try:
        reader = csv.DictReader(line for _, line in text_lines(path) if line.endswith("\n"))
        columns, rows = set(reader.fieldnames or ()), [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path} is no table ({error}): give an accuracy_curve.csv of a run.") from error
    if {"problems", *keys} - columns or not rows:
        raise UserError(f"{path} is no accuracy curve: give an accuracy_curve.csv of a run.")
    points = [_point(row, keys, f"{path}, line {line}") for line, row in rows]
    values = {key: [point[key] for point in points] for key in keys}
    return Curve(name, seed, [int(point["problems"]) for point in points], values)


def _point(row: Mapping[str, str | None], keys: Sequence[str], where: str) -> dict[str, float]:
    """A row's numbers: of problems, and shares of them."""
    shares = {key: _cell(row, key, 1, where) for key in keys}
    return {"problems": _cell(row, "problems", _MOST_PROBLEMS, where), **shares}


def _cell(row: Mapping[str, str | None], key: str, most: int, where: str) -> float:
    """
    Raises:
        UserError: the cell is not there, or is no number from 0 to `most`.
    """
    try:
        value = float(row[key] or "")  # None in a row that is too short
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise UserError(f"{where}: {key} is '{row[key] or ''}', no number from 0 to {most}: remove the row.")
    return value


def draw_run(curve: Curve, picture: Path) -> None:
    """One run: the share of right answers over its problems, where it began, and what is sure of it.

    Args:
        curve: of the run.
        picture: the PNG to write.
    """
    figure, axes = _figure(4.5)
    for color, kind in (("C0", "window"), ("C1", "progressive")):
        _draw(axes, curve, kind, color, f"right {CURVES[kind]}")
    if (first := untrained(curve)) is not None:
        words = f"at the start: {first:.0f} % of the first {curve.problems[0]:,}, before any update"
        axes.axhline(first, color="0.4", linestyle="--", linewidth=1, label=words)
    axes.set(xlabel="problems, each judged before it was learnt from", ylabel="right answers, %")
    _use_the_space(axes, [curve])
    figure.legend(loc="outside lower center", ncols=2, frameon=False, title="bands: 95 % intervals")
    _write(figure, picture)


def draw_measured(accuracy: float, low: float, high: float, problems: int, picture: Path) -> None:
    """A flow that stays as it is, over all its problems: a bar, and its 95 % interval.

    Args:
        accuracy, low, high: the share of right answers and its interval, from 0 to 1.
        problems: how many.
        picture: the PNG to write.
    """
    figure, axes = _figure(1.9)
    right, least, most = (100 * value for value in (accuracy, low, high))
    axes.barh([0], [right], color="C0", alpha=0.6)
    axes.errorbar([right], [0], xerr=[[right - least], [most - right]], color="0.2", capsize=6)
    told = f"{right:.1f} % right of {problems:,} problems (95 %: {least:.1f} to {most:.1f})"
    axes.set(xlabel="right answers, %", title=told, xlim=(0, 100), yticks=[])
    _write(figure, picture)


def draw_curves(curves: Sequence[Curve], picture: Path) -> None:
    """The paper's figure 3: accuracy against problems, with intervals; several seeds thin, their mean thick.

    Args:
        curves: at least one.
        picture: the PNG to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    by_name: dict[str, list[Curve]] = {}
    for curve in curves:
        by_name.setdefault(curve.name, []).append(curve)
    for place, (kind, words) in enumerate(CURVES.items(), start=1):
        axes = figure.add_subplot(1, len(CURVES), place)
        for number, (name, seeds) in enumerate(by_name.items()):
            _draw_seeds(axes, seeds, kind, f"C{number}", name)
        axes.set(xlabel="problems", ylabel="right answers, %", title=f"right {words}")
        _use_the_space(axes, curves)
        axes.grid(alpha=0.3)
    several = "thin: a seed, thick: their mean; " if len(curves) > len(by_name) else ""
    labels = figure.axes[0].get_legend_handles_labels()
    title = f"{several}bands: 95 % intervals"
    figure.legend(*labels, loc="outside lower center", ncols=4, frameon=False, title=title)
    _write(figure, picture)


def _draw_seeds(axes: Axes, seeds: Sequence[Curve], kind: str, color: str, name: str) -> None:
    """Curves of one name, and their mean where all of them have a point."""
    if len(seeds) == 1:
        _draw(axes, seeds[0], kind, color, name)
        return
    for curve in seeds:
        _draw(axes, curve, kind, color, None, seeds=len(seeds))
    points = [dict(zip(curve.problems, curve.of(kind)[0], strict=True)) for curve in seeds]
    shared = sorted(set(points[0]).intersection(*points[1:]))
    means = [100 * sum(point[problems] for point in points) / len(points) for problems in shared]
    axes.plot(shared, means, color=color, linewidth=2.2, label=name, marker=_marker(shared))


def _figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    return figure, axes


def _draw(axes: Axes, curve: Curve, kind: str, color: str, label: str | None, seeds: int = 1) -> None:
    """A curve of a kind, in percent, and its interval; fainter as one of several seeds."""
    values, low, high = ([100 * value for value in part] for part in curve.of(kind))
    alpha, width = (1.0, 1.5) if seeds == 1 else (0.6, 0.8)
    marker = _marker(values)
    axes.plot(curve.problems, values, color=color, alpha=alpha, linewidth=width, label=label, marker=marker)
    axes.fill_between(curve.problems, low, high, color=color, alpha=0.15 / seeds, linewidth=0)


def _marker(points: Sequence[float]) -> str | None:
    """A single point is no line."""
    return "o" if len(points) == 1 else None


def _use_the_space(axes: Axes, curves: Sequence[Curve]) -> None:
    """Tens of percent around the curves and the latest problems' intervals: the others begin very wide."""
    shown = [value for curve in curves for kind in CURVES for value in curve.of(kind)[0]]
    shown += [value for curve in curves for part in curve.of("window")[1:] for value in part]
    axes.set_ylim(10 * math.floor(10 * min(shown)), 10 * math.ceil(10 * max(shown)))
    axes.set_xlim(left=0)


def untrained(curve: Curve) -> float | None:
    """Percent right of the first batch, which no update came before; None where the curve begins later."""
    first, *later = curve.problems
    begins = bool(later) and first <= later[0] - first
    return 100 * curve.values["progressive_accuracy"][0] if begins else None


def _write(figure: Figure, picture: Path) -> None:
    with whole_file(picture) as partial:
        figure.savefig(partial, format="png", dpi=120)


def write_curves(path: Path, curves: Sequence[Curve]) -> None:
    """All points as CSV: `curve`, `seed`, `problems`, and the columns of `AccuracyCurve`."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["curve", "seed", "problems", *curves[0].values])
        for curve in curves:
            for problems, *numbers in zip(curve.problems, *curve.values.values(), strict=True):
                writer.writerow([curve.name, curve.seed, problems, *numbers])

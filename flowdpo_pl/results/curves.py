"""Accuracy curves of runs: the CSV files of `AccuracyCurve`, read, drawn and gathered."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import whole_file

CURVES = {"progressive": "all problems so far", "window": "latest problems"}
"""Kinds of curve in `AccuracyCurve`'s files, and their titles."""
INTERVALS = {"progressive": "95 % at all times together", "window": "95 %, Wilson"}


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
    """A curve that `AccuracyCurve` wrote.

    Raises:
        UserError: the file does not exist, lacks a column, or has no row.
    """
    if not path.is_file():
        raise UserError(f"the curve {path} does not exist: give an accuracy_curve.csv of a run.")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        columns, rows = set(reader.fieldnames or ()), list(reader)
    keys = [f"{kind}_{part}" for kind in CURVES for part in ("accuracy", "low", "high")]
    if {"problems", *keys} - columns or not rows:
        raise UserError(f"{path} is no accuracy curve: give an accuracy_curve.csv of a run.")
    values = {key: [float(row[key]) for row in rows] for key in keys}
    return Curve(name, seed, [int(row["problems"]) for row in rows], values)


def draw_curves(curves: Sequence[Curve], picture: Path) -> None:
    """The paper's figure 3: accuracy against problems, a line a seed; with intervals if there is one seed.

    Args:
        curves: at least one; each name under the same seeds.
        picture: the PNG to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    names = list(dict.fromkeys(curve.name for curve in curves))
    seeds = [curve.seed for curve in curves]
    alone = len(set(seeds)) == 1
    for place, (kind, title) in enumerate(CURVES.items(), start=1):
        axes = figure.add_subplot(1, len(CURVES), place)
        for curve in curves:
            color = f"C{names.index(curve.name)}"
            values, low, high = ([100 * value for value in part] for part in curve.of(kind))
            label = curve.name if curve.seed == seeds[0] else None  # once
            marker = "o" if len(values) == 1 else None
            axes.plot(curve.problems, values, color=color, label=label, marker=marker)
            if alone:
                axes.fill_between(curve.problems, low, high, color=color, alpha=0.15, linewidth=0)
        shown = f"{title} ({INTERVALS[kind]})" if alone else title
        axes.set(xlabel="problems", ylabel="right answers, %", title=shown, ylim=(0, 100))
        axes.grid(alpha=0.3)
    axes.legend(loc="best", frameon=False)
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

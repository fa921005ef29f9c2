"""Progressive accuracy of several runs in one picture: the paper's figure 3."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import whole_file

CURVES = {"progressive": "all problems so far", "window": "latest problems"}
"""Kinds of curve in `AccuracyCurve`'s files, and their titles."""


@dataclass(frozen=True)
class Curve:
    """A progressive accuracy under one seed."""

    name: str
    seed: int
    problems: list[int]
    values: dict[str, list[float]]
    """`progressive_accuracy`, `progressive_low`, …, as in the CSV."""

    def end(self, kind: str) -> tuple[float, float, float]:
        """The last accuracy of a kind with its interval."""
        accuracy, low, high = (self.values[f"{kind}_{part}"][-1] for part in ("accuracy", "low", "high"))
        return accuracy, low, high


def read_curve(path: Path, name: str, seed: int) -> Curve:
    """A curve that `AccuracyCurve` wrote."""
    if not path.is_file():
        raise UserError(f"the report's curve {path} does not exist: give an accuracy_curve.csv of a run.")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    keys = [f"{curve}_{part}" for curve in CURVES for part in ("accuracy", "low", "high")]
    if not rows or {"problems", *keys} - rows[0].keys():
        raise UserError(f"{path} is no accuracy curve: give an accuracy_curve.csv of a run.")
    return Curve(
        name,
        seed,
        [int(row["problems"]) for row in rows],
        {key: [float(row[key]) for row in rows] for key in keys},
    )


def draw_curves(curves: Sequence[Curve], picture: Path) -> None:
    """The paper's figure 3: accuracy against problems, a line a seed; with intervals if there is one."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    names = list(dict.fromkeys(curve.name for curve in curves))
    alone = len({curve.seed for curve in curves}) == 1
    for place, (kind, title) in enumerate(CURVES.items(), start=1):
        axes = figure.add_subplot(1, len(CURVES), place)
        labelled: set[str] = set()
        for curve in curves:
            color = f"C{names.index(curve.name)}"
            values, low, high = (
                [100 * value for value in curve.values[f"{kind}_{part}"]]
                for part in ("accuracy", "low", "high")
            )
            label = None if curve.name in labelled else curve.name
            labelled.add(curve.name)
            axes.plot(curve.problems, values, color=color, label=label)
            if alone:
                axes.fill_between(curve.problems, low, high, color=color, alpha=0.15, linewidth=0)
        axes.set(xlabel="training problems", ylabel="right answers, %", title=title, ylim=(0, 100))
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
            for place, problems in enumerate(curve.problems):
                numbers = (values[place] for values in curve.values.values())
                writer.writerow([curve.name, curve.seed, problems, *numbers])

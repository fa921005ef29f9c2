"""What a study found: tables of accuracies (the paper's table 1), curves (its figure 3), arms and times.

Seeds are never pooled: each is a row of its own, and the last row is their range.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from flowdpo_pl.comparison import paired
from flowdpo_pl.errors import UserError
from flowdpo_pl.intervals import Interval, wilson
from flowdpo_pl.predictions import Prediction, by_problem, read_predictions
from flowdpo_pl.study_stage import placeholders_filled
from flowdpo_pl.whole_writes import whole_file

Folders: TypeAlias = Mapping[int, Mapping[str, Path]]
"""Each stage's folder, by seed and stage."""

CURVES = {"progressive": "all problems so far", "window": "latest problems"}


@dataclass(frozen=True)
class Report:
    """What is reported. Paths name stages by placeholders: `{test_flow}/test/predictions.jsonl`."""

    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each test set, the predictions of each row."""
    differences: list[list[str]] = field(default_factory=list)
    """Pairs of rows, the second minus the first on the same problems, in each table that has both."""
    curves: dict[str, str] = field(default_factory=dict)
    """Accuracy curves (CSV of `AccuracyCurve`) by their name in the figure."""
    arms: str | None = None
    """The `arms.json` of the verb `arms`."""
    notes: list[str] = field(default_factory=list)
    """Said under the tables."""

    def __post_init__(self) -> None:
        rows = {row for table in self.tables.values() for row in table}
        for pair in self.differences:
            if len(pair) != 2 or set(pair) - rows:
                raise UserError(f"report.differences has {pair}: give two rows of a table ({sorted(rows)}).")


@dataclass(frozen=True)
class Measured:
    """One number with its interval, in shares."""

    table: str
    row: str
    seed: int
    problems: int
    value: float
    low: float
    high: float
    p: float | None = None
    """Of a difference: exact McNemar, two-sided."""


@dataclass(frozen=True)
class Curve:
    """A progressive accuracy under one seed."""

    name: str
    seed: int
    problems: list[int]
    values: dict[str, list[float]]
    """`progressive_accuracy`, `progressive_low`, …, as in the CSV."""


def write_report(report: Report, folders: Folders, output: Path) -> None:
    """Write `report.md`, `tables.csv`, and with curves `curves.csv` and `curves.png`; print the first.

    Raises:
        UserError: a file that the report names is not there or of another format.
    """
    accuracies, differences = measured(report, folders)
    curves = [
        read_curve(Path(placeholders_filled(path, stages)), name, seed)
        for name, path in report.curves.items()
        for seed, stages in folders.items()
    ]
    _write_csv(output / "tables.csv", accuracies, differences)
    if curves:
        _write_curves(output / "curves.csv", curves)
        draw_curves(curves, output / "curves.png")
    page = "\n\n".join(
        [
            *table_sections(accuracies, "right, % (95 %, Wilson)", "{:.1f}"),
            *table_sections(differences, "difference, points (95 %, paired)", "{:+.1f}"),
            *_curve_section(curves),
            *_arms_section(report, folders),
            _times_section(folders),
            *report.notes,
        ]
    )
    with whole_file(output / "report.md") as partial:
        partial.write_text(page + "\n", encoding="utf-8")
    print(f"{page}\n\n{output}")


def measured(report: Report, folders: Folders) -> tuple[list[Measured], list[Measured]]:
    """Accuracies of all rows, and the paired differences, seed by seed."""
    accuracies: list[Measured] = []
    differences: list[Measured] = []
    for table, rows in report.tables.items():
        for seed, stages in folders.items():
            read = {row: read_predictions(placeholders_filled(path, stages)) for row, path in rows.items()}
            accuracies += [accuracy(table, row, seed, predictions) for row, predictions in read.items()]
            differences += [
                difference(table, seed, (one, read[one]), (two, read[two]))
                for one, two in report.differences
                if {one, two} <= rows.keys()
            ]
    return accuracies, differences


def accuracy(table: str, row: str, seed: int, predictions: Sequence[Prediction]) -> Measured:
    """Mean accuracy with Wilson's interval; samples of one problem count as one outcome."""
    groups = by_problem(predictions).values()
    right = sum(prediction.correct for prediction in predictions)
    squared_sizes = sum(len(samples) ** 2 for samples in groups)
    low, high = wilson(right, len(predictions), squared_sizes=squared_sizes)
    return Measured(table, row, seed, len(groups), right / len(predictions), low, high)


def difference(
    table: str, seed: int, one: tuple[str, Sequence[Prediction]], two: tuple[str, Sequence[Prediction]]
) -> Measured:
    """The second row minus the first on the problems of both."""
    found = paired(one[1], two[1])
    interval = Interval(found.low, found.high)
    return Measured(
        table, f"{two[0]} - {one[0]}", seed, found.problems, found.difference, *interval, p=found.p
    )


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


def table_sections(numbers: Sequence[Measured], heading: str, form: str) -> list[str]:
    """A table of Markdown for each test set: one row for each seed, then the range."""
    sections = []
    for table in dict.fromkeys(number.table for number in numbers):
        mine = [number for number in numbers if number.table == table]
        lines = [f"### {table}", "", f"| | seed | problems | {heading} |", "|---|---|---|---|"]
        for row in dict.fromkeys(number.row for number in mine):
            seeds = [number for number in mine if number.row == row]
            lines += [_line(number, form) for number in seeds]
            if len(seeds) > 1:
                values = sorted(100 * number.value for number in seeds)
                ends = f"{form.format(values[0])} to {form.format(values[-1])}"
                lines.append(f"| {row} | range | | {ends} |")
        sections.append("\n".join(lines))
    return sections


def _line(number: Measured, form: str) -> str:
    value, low, high = (form.format(100 * part) for part in (number.value, number.low, number.high))
    p = "" if number.p is None else f", p = {number.p:.2g}"
    return f"| {number.row} | {number.seed} | {number.problems} | {value} ({low} to {high}){p} |"


def _curve_section(curves: Sequence[Curve]) -> Iterable[str]:
    """The ends of the curves, which are in the picture as a whole."""
    if not curves:
        return
    ends = [
        Measured(CURVES[kind], curve.name, curve.seed, curve.problems[-1], *_last(curve, kind))
        for kind in CURVES
        for curve in curves
    ]
    yield "![Progressive accuracy](curves.png)"
    yield from table_sections(ends, "right at the end, % (95 %)", "{:.1f}")


def _last(curve: Curve, kind: str) -> tuple[float, float, float]:
    accuracy, low, high = (curve.values[f"{kind}_{part}"][-1] for part in ("accuracy", "low", "high"))
    return accuracy, low, high


def _arms_section(report: Report, folders: Folders) -> Iterable[str]:
    if report.arms is None:
        return
    lines = [
        "### arms",
        "",
        "| arm | seed | right of its prompts | attempts | tokens | kept of all | in the flow's stream |",
        "|---|---|---|---|---|---|---|",
    ]
    for seed, stages in folders.items():
        file = Path(placeholders_filled(report.arms, stages))
        if not file.is_file():
            raise UserError(f"the report's arms {file} does not exist: give the arms.json of `arms`.")
        facts = json.loads(file.read_text(encoding="utf-8"))
        kept = f"{facts['prompts']['kept']} of {facts['prompts']['offered']}"
        overlap = facts["in_the_flow_s_stream"]
        stated = "unknown" if overlap is None else str(overlap["count"])
        for name, arm in facts["arms"].items():
            share = f"{arm['right']} of {arm['prompts']} ({100 * arm['acceptance']:.1f} %)"
            cells = (name, seed, share, arm["attempts"], arm["generated_tokens"], kept, stated)
            lines.append(f"| {' | '.join(map(str, cells))} |")
    yield "\n".join(lines)


def _times_section(folders: Folders) -> str:
    """Seconds of each stage, from its `stage.json`."""
    lines = ["### seconds", "", f"| stage | {' | '.join(f'seed {seed}' for seed in folders)} |"]
    lines.append("|---|" + "---|" * len(folders))
    for stage in next(iter(folders.values()), {}):
        files = [stages[stage] / "stage.json" for stages in folders.values()]
        seconds = [
            str(json.loads(file.read_text(encoding="utf-8"))["seconds"]) if file.exists() else ""
            for file in files
        ]
        lines.append(f"| {stage} | {' | '.join(seconds)} |")
    return "\n".join(lines)


def _write_csv(path: Path, accuracies: Sequence[Measured], differences: Sequence[Measured]) -> None:
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["kind", "table", "row", "seed", "problems", "value", "low", "high", "p"])
        for kind, numbers in (("accuracy", accuracies), ("difference", differences)):
            for n in numbers:
                writer.writerow([kind, n.table, n.row, n.seed, n.problems, n.value, n.low, n.high, n.p])


def _write_curves(path: Path, curves: Sequence[Curve]) -> None:
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["curve", "seed", "problems", *curves[0].values])
        for curve in curves:
            for place, problems in enumerate(curve.problems):
                numbers = (values[place] for values in curve.values.values())
                writer.writerow([curve.name, curve.seed, problems, *numbers])

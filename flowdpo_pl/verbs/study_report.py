"""What a study found: tables of accuracies (the paper's table 1), curves (its figure 3), arms and times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import TypeAlias

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.results.curves import CURVES, Curve, draw_curves, read_curve, write_curves
from flowdpo_pl.results.paired import paired
from flowdpo_pl.results.predictions import Prediction, accuracies, read_predictions
from flowdpo_pl.verbs.report_tables import (
    KIND_AND_NUMBER,
    Measured,
    Noted,
    arms_table,
    csv_table,
    kind_rows,
    noted,
    resolved,
    seeds_table,
    table,
    write_rows,
)
from flowdpo_pl.verbs.stage_mark import read_stage_mark
from flowdpo_pl.verbs.study_stage import placeholders_filled
from flowdpo_pl.visible import visible

Folders: TypeAlias = Mapping[int, Mapping[str, Path]]
"""Each stage's folder, by seed and stage."""


@dataclass(frozen=True)
class Report:
    """What is reported. Paths name stages by placeholders: `{test_flow}/test/predictions.jsonl`."""

    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each test set, the predictions of each row."""
    differences: list[list[str]] = field(default_factory=list)
    """Pairs of rows, the second minus the first on the same problems, in each table that has both."""
    curves: dict[str, str] = field(default_factory=dict)
    """Accuracy curves (CSV of `AccuracyCurve`) by their name in the figure."""
    labels: list[str] = field(default_factory=list)
    """Names of problems' labels: differences are also told for the problems with each value of each."""
    sections: dict[str, str] = field(default_factory=dict)
    """Further tables by title: CSV files that a stage wrote, shown as they are, seed by seed."""
    arms: str | None = None
    """The `arms.json` of the verb `arms`."""
    notes: list[str] = field(default_factory=list)
    """Said under the tables."""

    def __post_init__(self) -> None:
        tables = [table.keys() for table in self.tables.values()]
        for pair in self.differences:
            if len(pair) != 2 or not any({*pair} <= rows for rows in tables):
                near = [rows for rows in tables if {*pair} & rows] or tables
                known = sorted({row for rows in near for row in rows})
                raise UserError(
                    f"report.differences has {pair}: give two rows of one table, such as {known}."
                )


def write_report(report: Report, folders: Folders, output: Path) -> None:
    """Write `report.md`, `tables.csv`, `sections.csv`, and with curves `curves.csv` and
    `curves.png`; print the first.

    Raises:
        UserError: a file that the report names is not there or of another format.
    """
    shares, differences = measured(report, folders)
    curves = [
        read_curve(Path(placeholders_filled(path, stages)), name, seed)
        for name, path in report.curves.items()
        for seed, stages in folders.items()
    ]
    write_rows(output / "tables.csv", KIND_AND_NUMBER, kind_rows(shares, differences))
    sections = [_accuracy_section(name, shares, differences) for name in report.tables]
    if curves:
        write_curves(output / "curves.csv", curves)
        draw_curves(curves, output / "curves.png")
        sections.append(_curve_section(curves))
    found: list[Noted] = []
    for title, path in report.sections.items():
        files = {seed: Path(placeholders_filled(path, of_seed)) for seed, of_seed in folders.items()}
        sections.append(f"### {title}\n\n{csv_table(files)}")
        found += noted(title, files)
    write_rows(output / "sections.csv", [column.name for column in fields(Noted)], map(astuple, found))
    if report.arms is not None:
        files = {seed: Path(placeholders_filled(report.arms, of_seed)) for seed, of_seed in folders.items()}
        sections.append(f"### arms\n\n{arms_table(files)}")
    page = "\n\n".join([*sections, f"### seconds\n\n{_times_table(folders)}", *report.notes])
    with whole_file(output / "report.md") as partial:
        partial.write_text(page + "\n", encoding="utf-8")
    print(f"{visible(page)}\n")
    for name in ("report.md", "tables.csv", *(("curves.png",) if curves else ())):
        print(output / name)


def measured(report: Report, folders: Folders) -> tuple[list[Measured], list[Measured]]:
    """Accuracies of all rows, and the paired differences, seed by seed."""
    shares: list[Measured] = []
    differences: list[Measured] = []
    for name, rows in report.tables.items():
        for seed, stages in folders.items():
            read = {row: read_predictions(placeholders_filled(path, stages)) for row, path in rows.items()}
            shares += [accuracy(name, row, seed, predictions) for row, predictions in read.items()]
            for one, two in report.differences:
                if {one, two} <= rows.keys():
                    differences += [
                        difference(name, seed, (one, own), (two, others), where)
                        for where, own, others in _by_label(read[one], read[two], report.labels)
                    ]
    return shares, differences


def accuracy(table: str, row: str, seed: int, predictions: Sequence[Prediction]) -> Measured:
    """Mean accuracy of all samples, with its interval."""
    found = accuracies(predictions)
    return Measured(table, row, seed, *(found[part] for part in ("problems", "accuracy", "low", "high")))


def difference(
    table: str,
    seed: int,
    one: tuple[str, Sequence[Prediction]],
    two: tuple[str, Sequence[Prediction]],
    where: str = "",
) -> Measured:
    """The second row minus the first on the problems of both; `where` says which these are, if not all."""
    found = paired(one[1], two[1])
    row, interval = f"{two[0]} - {one[0]}{where}", (found.low, found.high)
    return Measured(table, row, seed, found.problems, found.difference, *interval, p=found.p)


def _by_label(
    one: Sequence[Prediction], two: Sequence[Prediction], labels: Sequence[str]
) -> Iterator[tuple[str, Sequence[Prediction], Sequence[Prediction]]]:
    """All predictions of two rows, then those of problems with each value of each label."""
    yield "", one, two
    for label in labels:
        values = {prediction.labels[label] for prediction in (*one, *two) if label in prediction.labels}
        for value in sorted(values, key=lambda value: (len(value), value)):
            own, others = ([p for p in row if p.labels.get(label) == value] for row in (one, two))
            yield f", {label} {value}", own, others


def _accuracy_section(name: str, shares: Sequence[Measured], differences: Sequence[Measured]) -> str:
    rows, compared = ([n for n in numbers if n.table == name] for numbers in (shares, differences))
    parts = [f"### {name}", seeds_table(rows, "right, % (95 %, Wilson)", "{:.1f}")]
    if compared:
        parts += [seeds_table(compared, "difference, points (95 %, paired)", "{:+.1f}"), resolved(compared)]
    return "\n\n".join(parts)


def _curve_section(curves: Sequence[Curve]) -> str:
    """The picture, and the ends of its curves."""
    parts = ["### training", "![Progressive accuracy](curves.png)"]
    for kind, title in CURVES.items():
        ends = [
            Measured(kind, curve.name, curve.seed, curve.problems[-1], *(part[-1] for part in curve.of(kind)))
            for curve in curves
        ]
        parts.append(seeds_table(ends, f"{title}, right at the end, % (95 %)", "{:.1f}"))
    return "\n\n".join(parts)


def _times_table(folders: Folders) -> str:
    """Seconds of each stage, from its `stage.json`."""
    rows = []
    for stage in next(iter(folders.values()), {}):
        marks = [read_stage_mark(stages[stage]) for stages in folders.values()]
        rows.append([stage, *("" if mark is None else mark.seconds for mark in marks)])
    return table(["stage", *(f"seed {seed}" for seed in folders)], rows)

"""What a grid of studies shows: differences between two rows of the reports, over the values of the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import whole_file
from flowdpo_pl.verbs.report_tables import Measured, table
from flowdpo_pl.verbs.study_stage import Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Cells = Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True)
class GridPicture:
    """A panel for each difference, in points, with its interval, over the values of the cells."""

    across: str
    """The value of a cell that the horizontal axis shows."""
    lines: str
    """The value that has a line for each of its kinds."""
    table: str
    """Of the reports, whose differences are drawn."""
    differences: list[str]
    """As the reports name them: `flow - self`."""

    def require_values(self, cells: Cells) -> None:
        """
        Raises:
            UserError: the picture has no difference, or one twice, or names a value that a cell lacks.
        """
        if not self.differences or len({*self.differences}) < len(self.differences):
            raise UserError(f"picture.differences is {self.differences}: name at least one, each once.")
        for cell, values in cells.items():
            if missing := [name for name in (self.across, self.lines) if name not in values]:
                raise UserError(
                    f"picture names the value '{missing[0]}', which cell '{cell}' lacks: "
                    f"it has {list(values)}."
                )


@dataclass(frozen=True)
class Point:
    """A difference in a cell, under one seed."""

    cell: str
    across: str
    line: str
    measured: Measured


def draw_grid(
    picture: GridPicture, cells: Cells, numbers: Mapping[str, Sequence[Measured]], path: Path
) -> str:
    """Draw the picture into `path`, and return its numbers as tables of Markdown.

    Args:
        picture: what is drawn.
        cells: their values, by name.
        numbers: the differences that the cells' reports tell, by name.
        path: the PNG to write.

    Raises:
        UserError: the report of a cell lacks a difference that the picture names.
    """
    points = [
        point for cell, values in cells.items() for point in _points(picture, cell, values, numbers[cell])
    ]
    _draw(picture, points, path)
    page = "\n\n".join(_section(name, points) for name in picture.differences)
    return f"### {picture.table}: what is drawn\n\n{page}"


def _points(
    picture: GridPicture, cell: str, values: Mapping[str, Value], numbers: Sequence[Measured]
) -> list[Point]:
    rows = [one for one in numbers if one.table == picture.table]
    found = [one for one in rows if one.row in picture.differences]
    if absent := sorted({*picture.differences} - {one.row for one in found}):
        known = sorted({one.row for one in rows})
        raise UserError(
            f"the report of cell '{cell}' has no difference '{absent[0]}' in '{picture.table}': "
            f"it has {known}."
        )
    across, line = str(values[picture.across]), str(values[picture.lines])
    return [Point(cell, across, line, one) for one in found]


def _section(name: str, points: Sequence[Point]) -> str:
    """A difference: a row a cell, a column a seed, and the seeds' mean."""
    own = [point for point in points if point.measured.row == name]
    seeds = sorted({point.measured.seed for point in own})
    rows = []
    for cell in dict.fromkeys(point.cell for point in own):
        found = {point.measured.seed: point.measured for point in own if point.cell == cell}
        cells = [_told(found[seed]) if seed in found else "" for seed in seeds]
        rows.append([cell, *cells, f"{100 * _mean(list(found.values())):+.1f}"])
    head = [f"{name}, points (95 %)", *(f"seed {seed}" for seed in seeds), "mean"]
    return table(head, rows)


def _told(one: Measured) -> str:
    return f"{100 * one.value:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"


def _mean(measured: Sequence[Measured]) -> float:
    return sum(one.value for one in measured) / len(measured)


def _draw(picture: GridPicture, points: Sequence[Point], path: Path) -> None:
    from matplotlib.figure import Figure

    columns = min(2, len(picture.differences))
    rows = -(-len(picture.differences) // columns)
    figure = Figure(figsize=(1 + 4 * columns, 0.9 + 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(picture.differences) :]:
        axes.remove()
    for axes, name in zip(panels.flat, picture.differences, strict=False):
        _panel(axes, picture, [point for point in points if point.measured.row == name])
        axes.set_title(f"{name}\nabove 0: the first is ahead", fontsize="medium")
        axes.tick_params(labelbottom=True)
    figure.supxlabel(picture.across)
    figure.supylabel(f"{picture.table}:\ndifference, points")
    labels = panels.flat[0].get_legend_handles_labels()
    several = len({point.measured.seed for point in points}) > 1
    seeds = "thin: a seed and its 95 % interval; thick: their mean" if several else "bars: 95 % intervals"
    told = f"{picture.lines}   ({seeds})"
    figure.legend(*labels, title=told, loc="outside upper center", ncols=4, frameon=False)
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=120)


def _panel(axes: Axes, picture: GridPicture, points: Sequence[Point]) -> None:
    """Seeds thin, with their intervals; their mean thick."""
    places = list(dict.fromkeys(point.across for point in points))
    lines = list(dict.fromkeys(point.line for point in points))
    axes.axhline(0, color="0.4", linewidth=0.8)
    for number, line in enumerate(lines):
        color, aside = f"C{number}", 0.12 * (number - (len(lines) - 1) / 2)
        means: dict[float, list[float]] = {}
        for seed in sorted({point.measured.seed for point in points}):
            own = [point for point in points if point.line == line and point.measured.seed == seed]
            across = [places.index(point.across) + aside for point in own]
            values, low, high = (
                [100 * getattr(point.measured, part) for point in own] for part in ("value", "low", "high")
            )
            errors = [
                # A resampled interval may miss its value by a hair, which is no length.
                [max(0.0, value - least) for value, least in zip(values, low, strict=True)],
                [max(0.0, most - value) for value, most in zip(values, high, strict=True)],
            ]
            axes.errorbar(across, values, errors, color=color, alpha=0.5, linewidth=0.8, marker=".")
            for place, value in zip(across, values, strict=True):
                means.setdefault(place, []).append(value)
        ordered = sorted(means)
        axes.plot(
            ordered,
            [sum(means[at]) / len(means[at]) for at in ordered],
            color=color,
            linewidth=2.2,
            label=line,
        )
    axes.set_xticks(range(len(places)), places)
    axes.grid(alpha=0.3)

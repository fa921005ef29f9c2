"""A chart as Plotly draws it, in the page's own colours.

Colours are names of the page's CSS variables: `var(--right)`, or `var(--right)/15` for 15 % of it, which its
script replaces, so that one chart is right in light and in dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeAlias

from flowdpo_pl.report.markup import Markup, tag
from flowdpo_pl.view.selection import safe_json
from flowdpo_pl.visible import visible_line

Trace: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """One chart of a page."""

    title: str
    note: str
    """What it shows, in a sentence or two."""
    traces: Sequence[Trace]
    layout: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the page's: axes, height in pixels."""

    def html(self, name: str) -> Markup:
        """Its place in a page, with its data.

        Args:
            name: of its own in the page.
        """
        data = safe_json({"data": list(self.traces), "layout": dict(self.layout)})
        return Markup(
            tag(
                "figure",
                tag("figcaption", self.title),
                tag("div", "", class_="plot", data_chart=name),
                tag("p", self.note, class_="quiet"),
                class_="chart",
            )
            + f'<script type="application/json" id="{escape(name)}">{data}</script>\n'
        )


def label(text: str) -> str:
    """A text for a chart, which reads some HTML in it: as it stands."""
    return escape(visible_line(text), quote=False)


def color(number: int) -> str:
    """The page's colours of agents or runs, in turn."""
    return f"var(--agent-{number % 6})"


def line(
    x: Sequence[float], y: Sequence[float | None], name: str, colored: str, hover: str, **options: Any
) -> Trace:
    """A line; a single point as one.

    Args:
        x, y: its points.
        name: any text.
        colored: its colour.
        hover: of a value, as Plotly writes it: `%{y:.1f} %`.
        options: of the trace; `dash` and `width` of its line.
    """
    drawn = {"color": colored, "width": options.pop("width", 2), "dash": options.pop("dash", "solid")}
    return {
        "type": "scatter",
        "mode": "lines" if len(x) > 1 else "markers",
        "x": list(x),
        "y": list(y),
        "name": label(name),
        "line": drawn,
        "marker": {"color": colored},
        "hovertemplate": hover,
        **options,
    }


def bars(
    x: Sequence[float],
    widths: Sequence[float],
    y: Sequence[float | None],
    name: str,
    colored: str,
    hover: str,
    opacity: Sequence[float] | float = 1.0,
    **options: Any,
) -> Trace:
    """Bars that stand on each other; arguments as of `line`, and the bars' widths and opacities."""
    return {
        "type": "bar",
        "x": list(x),
        "width": [0.92 * width for width in widths],
        "y": list(y),
        "name": label(name),
        "marker": {"color": colored, "opacity": opacity},
        "hovertemplate": hover,
        **options,
    }

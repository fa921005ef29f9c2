"""Pairs and ties by depth over time: a chart an agent, a row a depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowdpo_pl.report.chart import Chart, Trace, bars
from flowdpo_pl.report.fork_counts import OUTCOMES, CountsAt, ForkCounts
from flowdpo_pl.report.stretches import Stretch, share, stretches
from flowdpo_pl.types import Agent

_COLORS = dict(
    zip(OUTCOMES, [f"var(--{name})" for name in ("first", "right", "wrong", "quiet", "faint")], strict=True)
)
_MOST_BARS, _MOST_ROWS = 24, 8
_FEW = 20
"""Nodes: of fewer a share says little."""
_ROW = 74
"""Pixels."""


def fork_charts(counts: ForkCounts) -> list[Chart]:
    """Of every agent that has a node."""
    parts = list(stretches(counts.batches, lambda batch: batch.seen, _MOST_BARS))
    return [_agent_chart(agent, counts, parts) for agent in counts.agents]


def _agent_chart(agent: Agent, counts: ForkCounts, parts: Sequence[Stretch[CountsAt]]) -> Chart:
    depths = counts.depths(agent)
    rows: list[tuple[str, range]] = [("all", range(0, 1 << 30))]
    if len(depths) > 1:
        last = _MOST_ROWS if len(depths) > _MOST_ROWS else len(depths) + 1
        rows += [(f"depth {at}", range(at, at + 1)) for at in depths[: last - 1]]
        if len(depths) > _MOST_ROWS:
            rows.append((f"depth {depths[last - 1]}+", range(depths[last - 1], 1 << 30)))
    traces: list[Trace] = []
    layout: dict[str, Any] = {"barmode": "stack", "height": 110 + _ROW * len(rows)}
    for number, (words, within) in enumerate(rows):
        traces += _row(agent, within, number, parts, counts.outcomes)
        top = 1 - number / len(rows)
        layout[f"yaxis{number + 1 if number else ''}"] = {
            "domain": [top - 0.8 / len(rows), top],
            "range": [0, 100],
            "tickvals": [0, 50, 100],
            "title": {"text": words, "font": {"size": 11}},
        }
    lowest = "y" if len(rows) == 1 else f"y{len(rows)}"
    layout["xaxis"] = {"title": {"text": "problems"}, "anchor": lowest, "rangemode": "tozero"}
    note = "Percent of the agent's nodes, a bar a stretch of the run, pale where it has fewer than "
    note += f"{_FEW}. Pairs alone teach a preference loss. "
    if len(rows) > 1:
        note += "Depth: the chunk that a node wrote or judged. "
    return Chart(f"Pairs and ties of {agent}", note + counts.told, traces, layout)


def _row(
    agent: Agent, within: range, number: int, parts: Sequence[Stretch[CountsAt]], outcomes: Sequence[str]
) -> list[Trace]:
    found = [{outcome: _count(part, agent, within, outcome) for outcome in outcomes} for part in parts]
    return [
        bars(
            [part.middle for part in parts],
            [part.width for part in parts],
            [share(one[outcome], sum(one.values())) for one in found],
            OUTCOMES[outcome],
            _COLORS[outcome],
            "%{y:.0f} % (%{customdata:,})",
            customdata=[one[outcome] for one in found],
            opacity=[1 if sum(one.values()) >= _FEW else 0.35 for one in found],
            legendgroup=outcome,
            showlegend=number == 0,
            yaxis="y" if number == 0 else f"y{number + 1}",
        )
        for outcome in outcomes
    ]


def _count(part: Stretch[CountsAt], agent: Agent, within: range, outcome: str) -> int:
    return sum(
        number
        for batch in part.rows
        for (who, at, what), number in batch.counts.items()
        if who == agent and what == outcome and (at is None or at in within)
    )

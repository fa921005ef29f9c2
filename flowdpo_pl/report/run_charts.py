"""Charts of one run's logged numbers: what the chooser said, what was learnt, what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowdpo_pl.report.chart import Chart, bars, color, line
from flowdpo_pl.report.stretches import Stretch, mean, share, stretches, total
from flowdpo_pl.results.logged_numbers import LoggedNumbers
from flowdpo_pl.types import Agent

HELD = {"none": "no result", "wrong": "a wrong result", "right": "the right result"}
"""What a partial answer held, as in logs and in words."""
PHASES = ("play", "score", "update")
_HELD_COLORS = {"none": "var(--quiet)", "wrong": "var(--wrong)", "right": "var(--right)"}
_PHASE_COLORS = {"play": "var(--first)", "score": "var(--third)", "update": "var(--second)"}
_MOST_BARS, _MOST_POINTS = 24, 120


def chooser_charts(logged: LoggedNumbers) -> list[Chart]:
    """How often the chooser said that the answer is finished, by what it held; empty where none was asked."""
    rows = logged.with_all(logged.axis, "chooser/chains")
    if not any(total(rows, f"chooser/nodes/{held}") for held in HELD):
        return []
    parts = list(_stretches(logged, rows, _MOST_BARS))
    x = [part.end for part in parts]
    traces = [
        line(
            x,
            [
                share(total(part.rows, f"chooser/finished/{held}"), total(part.rows, f"chooser/nodes/{held}"))
                for part in parts
            ],
            f"the answer held {words}",
            _HELD_COLORS[held],
            "%{y:.0f} % of %{customdata:,.0f}",
            customdata=[total(part.rows, f"chooser/nodes/{held}") for part in parts],
        )
        for held, words in HELD.items()
    ]
    cut = [share(total(part.rows, "chooser/cut"), total(part.rows, "chooser/chains")) for part in parts]
    traces.append(line(x, cut, "chains cut at the limit", "var(--third)", "%{y:.1f} %", dash="dot"))
    note = (
        "How often the agent that chooses said “finished”, by what the partial answer held: 100 % on the "
        "right result and 0 % on the others is perfect."
    )
    y = {"title": {"text": "said finished, %"}, "range": [-2, 102]}
    return [Chart("What the chooser said", note, traces, {"xaxis": _x(logged), "yaxis": y})]


def learning_charts(logged: LoggedNumbers, agents: Sequence[Agent]) -> list[Chart]:
    """Margins and log-probabilities by agent; or the loss of fine-tuning."""
    if rows := logged.with_all(logged.axis, "train/loss"):
        return [_loss_chart(logged, rows)]
    learning = {agent: logged.with_all(logged.axis, f"{agent}/margin") for agent in agents}
    learning = {agent: rows for agent, rows in learning.items() if rows}
    if not learning:
        return []
    margins, probabilities = [], []
    for number, agent in enumerate(learning):
        parts = list(_stretches(logged, learning[agent], _MOST_POINTS))
        x = [part.end for part in parts]

        def means(name: str, parts: Sequence[_Part] = parts, agent: Agent = agent) -> list[float | None]:
            return [mean(part.rows, f"{agent}/{name}", f"{agent}/pairs") for part in parts]

        margins.append(line(x, means("margin"), agent, color(number), "%{y:+.2f}"))
        for side, dash in (("chosen", "solid"), ("rejected", "dot")):
            y = means(f"{side}_logprob")
            probabilities.append(line(x, y, f"{agent}, {side}", color(number), "%{y:.2f}", dash=dash))
    margin = (
        "Policy against reference, chosen against rejected, before beta: the mean over the pairs, as they "
        "were before the update. It grows while an agent learns."
    )
    logprob = (
        "The policy's, of whole moves. Pairs come from present mistakes, so these may fall while the run "
        "learns."
    )
    axis = _x(logged)
    return [
        Chart("Margins", margin, margins, {"xaxis": axis, "yaxis": {"title": {"text": "margin, nats"}}}),
        Chart(
            "Log-probabilities of chosen and rejected moves",
            logprob,
            probabilities,
            {"xaxis": axis, "yaxis": {"title": {"text": "nats"}}},
        ),
    ]


def cost_charts(logged: LoggedNumbers, agents: Sequence[Agent]) -> list[Chart]:
    """Seconds and tokens a problem by phase, over the run."""
    rows = logged.with_all(logged.axis, "problems", "seconds/play")
    if not total(rows, "problems"):
        return []
    parts = list(_stretches(logged, rows, _MOST_BARS))
    x, widths = [part.middle for part in parts], [part.width for part in parts]
    seconds = [
        bars(x, widths, _each(parts, [f"seconds/{phase}"]), phase, _PHASE_COLORS[phase], "%{y:.3f} s")
        for phase in PHASES
    ]
    read = _each(parts, [f"{agent}/tokens" for agent in agents])
    written = _each(parts, ["generated_tokens"])
    tokens = [
        bars(x, widths, written, "written in play", _PHASE_COLORS["play"], "%{y:,.0f}"),
        bars(x, widths, read, "read in the update", _PHASE_COLORS["update"], "%{y:,.0f}"),
    ]
    layout = {"xaxis": _x(logged), "barmode": "stack", "height": 300}
    return [
        Chart(
            "Time by phase",
            "Play: the trees; score: the reference's forwards; update: gradients and step. Wall clock.",
            seconds,
            layout | {"yaxis": {"title": {"text": "seconds a problem"}}},
        ),
        Chart(
            "Tokens by phase",
            "Written: of chunks in all branches (choices aren't counted). Read: packed pairs of all agents.",
            tokens,
            layout | {"yaxis": {"title": {"text": "tokens a problem"}}},
        ),
    ]


def _loss_chart(logged: LoggedNumbers, rows: Sequence[Mapping[str, float]]) -> Chart:
    parts = list(_stretches(logged, rows, _MOST_POINTS))
    losses = [mean(part.rows, "train/loss", "completion_tokens") for part in parts]
    traces = [line([part.end for part in parts], losses, "training", "var(--first)", "%{y:.3f}")]
    if checked := logged.with_all(logged.axis, "validation/loss"):
        x, y = [row[logged.axis] for row in checked], [row["validation/loss"] for row in checked]
        traces.append(line(x, y, "validation", "var(--second)", "%{y:.3f}", mode="lines+markers"))
    layout = {"xaxis": _x(logged), "yaxis": {"title": {"text": "nats a token"}}}
    return Chart("Loss", "Nats a token of the completions.", traces, layout)


_Part = Stretch[Mapping[str, float]]


def _stretches(logged: LoggedNumbers, rows: Sequence[Mapping[str, float]], most: int) -> list[_Part]:
    return list(stretches(rows, lambda row: row[logged.axis], most))


def _each(parts: Sequence[_Part], names: Sequence[str]) -> list[float | None]:
    """What these numbers add up to, a problem."""
    problems = [total(part.rows, "problems") for part in parts]
    sums = [sum(total(part.rows, name) for name in names) for part in parts]
    return [one / count if count else None for one, count in zip(sums, problems, strict=True)]


def _x(logged: LoggedNumbers) -> dict[str, object]:
    words = {"problems_seen": "problems", "step": "optimizer steps"}.get(logged.axis, logged.axis)
    return {"title": {"text": words}, "rangemode": "tozero"}

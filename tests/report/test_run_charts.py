"""The charts' numbers are those of `metrics.csv` and of `summary.json`. Also tests `report.overview`."""

from __future__ import annotations

import csv
import html
import json
import re
from pathlib import Path

import pytest

from flowdpo_pl.report import overview
from flowdpo_pl.report.reported_run import ReportedRun
from flowdpo_pl.report.run_charts import chooser_charts, cost_charts, learning_charts
from flowdpo_pl.results.logged_numbers import LoggedNumbers


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def run(finished_run: Path) -> ReportedRun:
    return ReportedRun.at(finished_run, "mine")


def logged(run: ReportedRun) -> LoggedNumbers:
    assert run.logged is not None
    return run.logged


def cells(made: str) -> list[list[str]]:
    found = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", made)]
    return [[html.unescape(cell) for cell in row] for row in found if row]


def test_the_chooser_s_shares_are_those_of_each_batch(run: ReportedRun) -> None:
    (chart,) = chooser_charts(logged(run))
    for trace, held in zip(chart.traces, ("none", "wrong", "right"), strict=False):
        told = [float(row[f"chooser/finished_rate/{held}"]) for row in rows(run.folder)]
        assert trace["y"] == [pytest.approx(100 * rate) if rate == rate else None for rate in told]
        assert trace["x"] == [8, 16]


def test_margins_and_probabilities_are_those_of_each_batch(run: ReportedRun) -> None:
    margins, probabilities = learning_charts(logged(run), run.agents)
    assert [trace["name"] for trace in margins.traces] == run.agents == ["answer", "stop"]
    found = {trace["name"]: trace["y"] for trace in (*margins.traces, *probabilities.traces)}
    for agent in run.agents:
        for name, column in (
            (agent, "margin"),
            (f"{agent}, chosen", "chosen_logprob"),
            (f"{agent}, rejected", "rejected_logprob"),
        ):
            assert found[name] == pytest.approx([float(row[f"{agent}/{column}"]) for row in rows(run.folder)])


def test_seconds_and_tokens_add_up_to_the_summary(run: ReportedRun) -> None:
    seconds, tokens = cost_charts(logged(run), run.agents)
    whole = {trace["name"]: 8 * sum(trace["y"]) for trace in (*seconds.traces, *tokens.traces)}
    summary = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))
    for phase in ("play", "score", "update"):
        assert whole[phase] == pytest.approx(summary["seconds"][phase])
    assert whole["written in play"] == pytest.approx(summary["generated_tokens"])
    read = sum(float(row[f"{agent}/tokens"]) for row in rows(run.folder) for agent in run.agents)
    assert whole["read in the update"] == pytest.approx(read)
    play, score, update = cells(overview.costs(run))
    assert play[3] == f"{summary['generated_tokens']:,}" and update[3] == f"{read:,.0f}" and score[3] == ""


def test_the_confusion_is_the_summary_s(run: ReportedRun) -> None:
    chooser = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))["chooser"]
    for row, held in zip(cells(overview.confusion(run)), ("none", "wrong", "right"), strict=True):
        asked, said = chooser[f"nodes/{held}"], chooser[f"finished/{held}"]
        assert row[1:4] == [f"{asked:,}", f"{said:,}", f"{asked - said:,}"]


def test_fine_tuning_has_its_loss() -> None:
    steps = [
        {"step": 1.0, "train/loss": 2.0, "completion_tokens": 10.0},
        {"step": 2.0, "train/loss": 1.0, "completion_tokens": 10.0},
        {"step": 2.0, "validation/loss": 1.5},
    ]
    (chart,) = learning_charts(LoggedNumbers("step", steps), [])
    training, validation = chart.traces
    assert (training["x"], training["y"]) == ([1, 2], [2, 1])
    assert (validation["x"], validation["y"]) == ([2], [1.5])
    assert not chooser_charts(LoggedNumbers("step", steps)) and not cost_charts(
        LoggedNumbers("step", steps), []
    )


def test_a_run_of_a_single_writer_has_no_chooser() -> None:
    single = LoggedNumbers("problems_seen", [{"problems_seen": 8.0, "problems": 8.0, "chooser/chains": 8.0}])
    assert chooser_charts(single) == []

"""What is counted in trees is what the run has logged. Also tests `report.fork_charts`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from flowdpo_pl.report import fork_counts
from flowdpo_pl.report.fork_charts import fork_charts
from flowdpo_pl.report.fork_counts import counted_in_log, counted_in_trees
from flowdpo_pl.results.logged_numbers import read_logged
from flowdpo_pl.results.run_trees import RunTrees
from tests.example_trees import group_tree, random_tree
from tests.tree_files import write_trees


def test_trees_and_log_agree_batch_by_batch(finished_run: Path) -> None:
    trees, logged = RunTrees.at(finished_run), read_logged(finished_run)
    assert trees is not None and logged is not None
    by_depth, without = counted_in_trees(trees), counted_in_log(logged)
    assert [batch.seen for batch in by_depth.batches] == [batch.seen for batch in without.batches] == [8, 16]
    for one, other in zip(by_depth.batches, without.batches, strict=True):
        summed: Counter[tuple[str, str]] = Counter()
        for (agent, _, outcome), number in one.counts.items():
            summed[agent, outcome] += number
        told = {(agent, outcome): n for (agent, _, outcome), n in other.counts.items() if n}
        assert summed == told and sum(told.values()) > 8
    assert by_depth.agents == ["answer", "stop"] and len(by_depth.depths("answer")) > 1
    assert without.depths("answer") == []


def test_a_chart_has_a_row_for_all_and_one_a_depth(finished_run: Path) -> None:
    trees = RunTrees.at(finished_run)
    assert trees is not None
    counts = counted_in_trees(trees)
    kinds = len(counts.outcomes)
    assert kinds > 1
    for agent, chart in zip(counts.agents, fork_charts(counts), strict=True):
        rows = 1 + len(counts.depths(agent))
        assert chart.title == f"Pairs and ties of {agent}"
        assert len(chart.traces) == rows * kinds
        assert sum(key.startswith("yaxis") for key in chart.layout) == rows
        for outcome in range(kinds):
            whole, *depths = (trace["customdata"] for trace in chart.traces[outcome::kinds])
            assert whole == [sum(column) for column in zip(*depths, strict=True)]
        shares = zip(*(trace["y"] for trace in chart.traces[:kinds]), strict=True)
        assert all(sum(stretch) == pytest.approx(100) for stretch in shares)


def test_of_very_many_trees_some_are_counted_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_counts, "_MOST_TREES", 5)
    trees = RunTrees.at(write_trees(tmp_path, [random_tree(seed) for seed in range(12)]))
    assert trees is not None
    counted = counted_in_trees(trees)
    assert counted.told == "Counted in 5 of 12 trees, evenly over the run."
    assert [batch.seen for batch in counted.batches] == [4, 8, 12]


def test_draws_that_repeat_the_main_move_are_shown_where_there_are_some(tmp_path: Path) -> None:
    for name, tree in (("groups", group_tree(0)), ("alternatives", random_tree(0))):
        trees = RunTrees.at(write_trees(tmp_path / name, [tree]))
        assert trees is not None
        assert ("ties/repeated" in counted_in_trees(trees).outcomes) == (name == "groups")

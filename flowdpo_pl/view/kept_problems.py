"""A run's folder as the problems that a page shows."""

from __future__ import annotations

from pathlib import Path

from flowdpo_pl.results.kept_play import kept_play
from flowdpo_pl.results.run_trees import RunTrees
from flowdpo_pl.view.answer_problems import AnswerProblems
from flowdpo_pl.view.problems import Problems
from flowdpo_pl.view.tree_problems import TreeProblems


def kept_problems(run: Path) -> Problems:
    """The trees of a run, or else the answers of its `test`.

    Raises:
        UserError: see `kept_play`.
    """
    kept = kept_play(run)
    return TreeProblems(kept) if isinstance(kept, RunTrees) else AnswerProblems(kept)

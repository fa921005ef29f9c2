from __future__ import annotations

from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.kept_play import kept_play
from flowdpo_pl.results.predictions import Prediction, to_line
from flowdpo_pl.results.run_trees import RunTrees
from flowdpo_pl.results.tested import Tested
from tests.example_trees import random_tree
from tests.tree_files import write_trees

LINE = to_line(Prediction("p", "q", "4", "4", True))


def test_trees_come_before_a_test_which_lies_in_the_folder_or_below_it(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "predictions.jsonl").write_text(LINE)
    for where in (tmp_path, tmp_path / "test", tmp_path / "test" / "predictions.jsonl"):
        assert isinstance(kept_play(where), Tested)
    write_trees(tmp_path, [random_tree(1)])
    assert isinstance(kept_play(tmp_path), RunTrees)
    assert isinstance(kept_play(tmp_path / "test"), Tested)


def test_where_there_is_nothing_to_look_at_it_is_said_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist: give the folder of a run"):
        kept_play(tmp_path / "absent")
    with pytest.raises(UserError, match=r"holds no trees.*--trainer\.callbacks\+=callbacks\.TreeLog"):
        kept_play(tmp_path)
    write_trees(tmp_path / "runs" / "mine", [random_tree(1)])
    with pytest.raises(UserError, match=r"did you mean .*runs/mine\?$"):
        kept_play(tmp_path / "runs")
    (tmp_path / "config.yaml").write_text("trainer: {callbacks: [{class_path: callbacks.TreeLog}]}")
    with pytest.raises(UserError, match="its first batch of trees is not written yet"):
        kept_play(tmp_path)
    (tmp_path / "predictions.unfinished.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="has not ended: run its command again"):
        kept_play(tmp_path)

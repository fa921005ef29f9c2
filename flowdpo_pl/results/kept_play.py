"""What of a run's play can be looked at: its rollout trees, or the predictions of its `test`."""

from __future__ import annotations

from pathlib import Path

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.run_trees import RunTrees
from flowdpo_pl.results.tested import Tested, holds_test, read_test
from flowdpo_pl.results.trained_run import CONFIG

_LOG = "callbacks.TreeLog"


def kept_play(where: Path) -> RunTrees | Tested:
    """The trees of a run's folder or, without any, its `test`; or what a file of one of these holds.

    Raises:
        UserError: there is neither, or it is of another form.
    """
    where = where.expanduser()
    if not where.exists():
        raise UserError(f"{where} does not exist: give the folder of a run, such as runs/quickstart.")
    if (trees := RunTrees.at(where)) is not None:
        return trees
    if where.is_file() or holds_test(where):
        return read_test(where)
    raise UserError(f"{where} holds no trees.jsonl, and no predictions of a `test`: {_what_to_do(where)}")


def _what_to_do(folder: Path) -> str:
    if near := sorted(path.parent for path in folder.glob("*/trees.jsonl")):
        return f"did you mean {near[0]}?"
    config = folder / CONFIG
    if config.is_file() and _LOG in config.read_text(encoding="utf-8", errors="replace"):
        return "its first batch of trees is not written yet."
    return f"a run keeps its trees if `fit` is given --trainer.callbacks+={_LOG}."

"""Files of trees as TreeLog writes them, without a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from flowdpo_pl.results.tree_io import tree_to_dict
from flowdpo_pl.types import RolloutTree


def write_trees(folder: Path, trees: Sequence[RolloutTree], batch: int = 4) -> Path:
    """The trees in batches; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for start in range(0, len(trees), batch):
        part = trees[start : start + batch]
        lines += [{"problems_seen": start + len(part), **tree_to_dict(tree)} for tree in part]
    # Half characters can only be escapes.
    (folder / "trees.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder

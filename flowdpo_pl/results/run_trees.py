"""The rollout trees that a run kept, in the order of its problems."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.results.trained_run import CONFIG, TREES, read_config, score_margin
from flowdpo_pl.results.tree_io import tree_of_line
from flowdpo_pl.types import RolloutTree

_POSITION = re.compile(r'\{"problems_seen": (\d{1,18}), ')
"""As TreeLog begins a line: most lines of a long run need not be read whole."""


@dataclass(frozen=True)
class RunTree:
    """One tree of a run."""

    number: int
    """Its place among the run's problems, from 1."""
    seen: int
    """Problems that had been played after its batch."""
    tree: RolloutTree


@dataclass(frozen=True)
class RunTrees:
    """The trees of a run, finished or growing. A line that is still being written is left out."""

    file: Path
    margin: float
    """The run's `score_margin`: endings whose scores differ by no more are ties."""

    @classmethod
    def at(cls, where: Path) -> RunTrees | None:
        """Those of a folder, or of its file; None if there are none.

        Raises:
            UserError: the run's config can't be read.
        """
        folder, file = (where, where / TREES) if where.is_dir() else (where.parent, where)
        if file.name != TREES or not file.is_file():
            return None
        config = folder / CONFIG
        return cls(file, score_margin(read_config(config)) if config.is_file() else 0.0)

    @cached_property
    def count(self) -> int:
        """Number of trees."""
        return sum(1 for _ in self._lines())

    def read(self, numbers: Container[int] | None = None) -> Iterator[RunTree]:
        """Those of these numbers, or all, one at a time, in order.

        Raises:
            UserError: a line isn't a tree (named with its number).
        """
        for number, (at, line) in enumerate(self._lines(), start=1):
            if numbers is None or number in numbers:
                yield RunTree(number, _position(line), tree_of_line(line, self.file, at))

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Whole lines, with their numbers in the file."""
        return ((number, line) for number, line in text_lines(self.file) if line.endswith("\n"))


def _position(line: str) -> int:
    """Problems seen, as the line says; 0 if it says nothing."""
    if match := _POSITION.match(line):
        return int(match[1])
    try:
        seen = json.loads(line).get("problems_seen", 0)
    except (ValueError, AttributeError, RecursionError):
        return 0  # no tree, which whoever reads it says
    return seen if type(seen) is int else 0

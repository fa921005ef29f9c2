"""The rollout trees that a run kept, in the order of its problems.

Each rank has a file of its own; rank r of R holds every R-th tree of a batch from r on.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.results.trained_run import CONFIG, read_config, score_margin
from flowdpo_pl.results.tree_io import tree_of_line
from flowdpo_pl.types import RolloutTree

_NAME = re.compile(r"trees(?:\.rank(\d+))?\.jsonl")
_POSITION = re.compile(r'\{"problems_seen": (\d+), ')
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

    files: tuple[Path, ...]
    """By rank."""
    margin: float
    """The run's `score_margin`: endings whose scores differ by no more are ties."""

    @classmethod
    def at(cls, where: Path) -> RunTrees | None:
        """Those of a folder, or of one file; None if there are none.

        Raises:
            UserError: the run's config can't be read.
        """
        folder = where if where.is_dir() else where.parent
        found = {int(match[1] or 0): path for path in folder.glob("trees*") if (match := _named(path))}
        files = tuple(found[rank] for rank in sorted(found)) if where.is_dir() else (where,)
        if not files or not where.exists() or (where.is_file() and not _named(where)):
            return None
        config = folder / CONFIG
        return cls(files, score_margin(read_config(config)) if config.is_file() else 0.0)

    @cached_property
    def count(self) -> int:
        """Number of trees."""
        return sum(1 for file in self.files for _ in _whole_lines(file))

    def read(self, numbers: Container[int] | None = None) -> Iterator[RunTree]:
        """Those of these numbers, or all, one at a time, in order.

        Raises:
            UserError: a line isn't a tree (named with its number).
        """
        ranks = [_placed(rank, file) for rank, file in enumerate(self.files)]
        for number, (seen, _, rank, at, line) in enumerate(heapq.merge(*ranks), start=1):
            if numbers is None or number in numbers:
                yield RunTree(number, seen, tree_of_line(line, self.files[rank], at))


def _named(path: Path) -> re.Match[str] | None:
    return _NAME.fullmatch(path.name)


def _whole_lines(file: Path) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in text_lines(file) if line.endswith("\n"))


def _placed(rank: int, file: Path) -> Iterator[tuple[int, int, int, int, str]]:
    """Lines with what orders them: problems seen, place in this rank's share of the batch, rank; then the
    line's number and text."""
    before, place = -1, 0
    for number, line in _whole_lines(file):
        seen = _position(line)
        place = place + 1 if seen == before else 0
        before = seen
        yield seen, place, rank, number, line


def _position(line: str) -> int:
    """Problems seen, as the line says; 0 if it says nothing."""
    if match := _POSITION.match(line):
        return int(match[1])
    try:
        return int(json.loads(line).get("problems_seen", 0))
    except (ValueError, AttributeError, TypeError):
        return 0  # no tree, which whoever reads it says

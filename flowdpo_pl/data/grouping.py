"""What to do with several rewrites of one seed question (MetaMath's `original_question`).

A shuffled stream of rewrites leaks: an agent that learnt from one rewrite meets the next one,
and progressive accuracy rises by near-duplicates. A grouping turns a stream of problems into
groups, each of which must lie in one batch, judged before any of it is learnt from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator

from flowdpo_pl.data.questions import question_key
from flowdpo_pl.types import Problem


class Grouping(ABC):
    """Decides which problems of a stream are kept, and which must share a batch."""

    @abstractmethod
    def groups(
        self, problems: Iterable[Problem], batch_size: int, skipped: Counter[str]
    ) -> Iterator[list[Problem]]:
        """Groups of 1 to `batch_size` problems; what is left out is counted in `skipped`."""


class OneRewritePerSeed(Grouping):
    """Keeps the first rewrite of every seed question that the (shuffled) stream brings.

    Problems without a seed question are all kept.
    """

    def groups(
        self, problems: Iterable[Problem], batch_size: int, skipped: Counter[str]
    ) -> Iterator[list[Problem]]:
        seen: set[str] = set()
        for problem in problems:
            if problem.seed_question:
                if (seed := question_key(problem.seed_question)) in seen:
                    skipped["another rewrite of its seed question came first"] += 1
                    continue
                seen.add(seed)
            yield [problem]


class KeepTogether(Grouping):
    """Brings all rewrites of a seed question in one batch, seeds in the order they first come.

    The rewrites of a seed can lie anywhere, so all problems are read before the first group and
    stay in memory (about 1 kB each). A seed has at most `batch_size` rewrites; more are left out.
    """

    def groups(
        self, problems: Iterable[Problem], batch_size: int, skipped: Counter[str]
    ) -> Iterator[list[Problem]]:
        by_seed: dict[str, list[Problem]] = {}
        for problem in problems:
            group = by_seed.setdefault(question_key(problem.seed_question or problem.question), [])
            if len(group) < batch_size:
                group.append(problem)
            else:
                skipped["more rewrites of its seed question than a batch holds"] += 1
        yield from by_seed.values()

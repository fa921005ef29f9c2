"""Which problems each arm of a comparison keeps, of those that it has a right trace for."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


class Keep(ABC):
    """A way to make arms comparable; every arm keeps the same number."""

    @abstractmethod
    def kept(
        self, right: Mapping[str, Collection[str]], problems: Sequence[str], limit: int | None, seed: int
    ) -> dict[str, list[str]]:
        """Each arm's problems, in their order.

        Args:
            right: by arm, the problems that it has a right trace for.
            problems: all of them, in the order in which they came.
            limit: at most so many in an arm; None: no bound.
            seed: of what is drawn.
        """


@dataclass(frozen=True)
class KeepShared(Keep):
    """The problems that every arm has a right trace for, the same in each: only traces differ."""

    def kept(
        self, right: Mapping[str, Collection[str]], problems: Sequence[str], limit: int | None, seed: int
    ) -> dict[str, list[str]]:
        shared = [problem for problem in problems if all(problem in found for found in right.values())]
        drawn = drawn_of(shared, limit, f"kept {seed}")
        return dict.fromkeys(right, drawn)


SHARED = KeepShared()


@dataclass(frozen=True)
class KeepSolved(Keep):
    """All that an arm solved with the same effort, cut by lot to the number that the poorest arm solved.

    What a better arm reaches stays in it. The lots are the problems', not the arms': two arms that solved the
    same problems keep the same.
    """

    def kept(
        self, right: Mapping[str, Collection[str]], problems: Sequence[str], limit: int | None, seed: int
    ) -> dict[str, list[str]]:
        by_lot = random.Random(f"solved {seed}").sample(problems, len(problems))
        number = min([len(found) for found in right.values()] + ([] if limit is None else [limit]))
        kept = {}
        for name, solved in right.items():
            own = set([problem for problem in by_lot if problem in solved][:number])
            kept[name] = [problem for problem in problems if problem in own]
        return kept


def drawn_of(problems: Sequence[str], limit: int | None, seed: str) -> list[str]:
    """At most `limit` of the problems, in their order."""
    if limit is None or limit >= len(problems):
        return list(problems)
    chosen = set(random.Random(seed).sample(problems, limit))
    return [problem for problem in problems if problem in chosen]

"""How much of a stream has been consumed, which is less than what its loader has given out.

A loader reads ahead (Lightning takes one batch early to see the end), so that only the consumer
can say what is done. A cursor hands out each rank's share of the batches and moves when a share
comes back as consumed; it counts the problems of all ranks, over all passes.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Problem

_PARTS: dict[str, Callable[[Problem], object]] = {
    "questions": lambda problem: (problem.id, problem.question),
    "gold answers": lambda problem: problem.gold,
    "seed questions": lambda problem: problem.seed_question,
    "labels": lambda problem: problem.labels,
}
"""What a run's problems are to it, by the name that it has in messages."""
NOTHING = dict.fromkeys(_PARTS, "")
"""The digests of no problem."""


class Cursor:
    """A position in a stream of batches: how many problems are consumed, the last's id, digests of all."""

    def __init__(
        self, consumed: int = 0, last_id: str = "", digests: Mapping[str, str] | None = None
    ) -> None:
        self.consumed = consumed
        self.last_id = last_id
        self._digests = dict(digests or NOTHING)
        self._given: deque[tuple[list[Problem], list[Problem], int]] = deque()  # share, whole batch, pass
        self._all_given = False

    def state_dict(self) -> dict[str, Any]:
        """Plain values, of which `Cursor(**values)` is the same position."""
        return {"consumed": self.consumed, "last_id": self.last_id, "digests": dict(self._digests)}

    @property
    def pass_number(self) -> int:
        """The pass of the oldest batch that is given out and not consumed; 1 without any."""
        return self._given[0][2] if self._given else 1

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to consume."""
        return self._all_given and not self._given

    def give(
        self, batches: Iterable[tuple[int, list[Problem]]], rank: int = 0, world: int = 1
    ) -> Iterator[list[Problem]]:
        """This rank's share of each batch after the cursor (see `share`).

        Args:
            batches: the whole stream from its beginning, each batch with the number of its pass, from 1.
            rank: this process, from 0.
            world: number of processes.

        Raises:
            UserError: the stream is not the one that the cursor has counted.
        """
        self._given.clear()
        self._all_given = False
        for number, batch in after(batches, self.consumed, self.last_id, self._digests):
            mine = share(batch, rank, world)
            self._given.append((mine, batch, number))
            yield mine
        self._all_given = True

    def mark_consumed(self, problems: list[Problem]) -> None:
        """Move past the oldest batch given out, of which `problems` is this rank's share."""
        if not self._given or self._given[0][0] != problems:
            raise RuntimeError("batches are consumed in the order in which they were given, each once")
        _, batch, _ = self._given.popleft()
        self.consumed += len(batch)
        self.last_id = batch[-1].id
        self._digests = extended(self._digests, batch)


def share(batch: list[Problem], rank: int, world: int) -> list[Problem]:
    """The problems of a global batch that one rank plays: every `world`-th, perhaps none.

    Shares differ by at most one problem, and every rank gets one share of every batch.
    """
    return batch[rank::world]


def extended(digests: Mapping[str, str], problems: Iterable[Problem]) -> dict[str, str]:
    """The digests of a stream that goes on with these problems."""
    now = dict(digests)
    for problem in problems:
        for part, value in _PARTS.items():
            text = f"{now[part]}{value(problem)!r}"
            now[part] = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return now


def after(
    batches: Iterable[tuple[int, list[Problem]]],
    consumed: int,
    last_id: str,
    digests: Mapping[str, str] = NOTHING,
) -> Iterator[tuple[int, list[Problem]]]:
    """The batches after the first `consumed` problems, of which the last has id `last_id`.

    Raises:
        UserError: the first problems are others, or have other answers: the data have changed.
    """
    passed = 0
    now: Mapping[str, str] = NOTHING
    for number, batch in batches:
        rest = max(consumed - passed, 0)
        now = extended(now, batch[:rest])
        if 0 < rest <= len(batch):
            if batch[rest - 1].id != last_id:
                raise UserError(
                    f"the data have changed since the checkpoint: problem {consumed} was {last_id} and is "
                    f"now {batch[rest - 1].id}; restore the file or the data settings of that run, or start "
                    "a new run"
                )
            if changed := [part for part, digest in now.items() if digests[part] != digest]:
                raise UserError(
                    f"the data have changed since the checkpoint: the first {consumed} problems have other "
                    f"{' and '.join(changed)}; restore the file or the data settings of that run, or start "
                    "a new run"
                )
        passed += len(batch)
        if batch[rest:]:
            yield number, batch[rest:]
    if passed < consumed:
        raise UserError(
            f"the data hold {passed} problems, but the checkpoint has consumed {consumed}: restore the file, "
            "the limit, the passes or the data settings of that run, or start a new run"
        )

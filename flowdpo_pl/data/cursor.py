"""How much of a stream has been consumed, which is less than what its loader has given out.

A loader reads ahead (Lightning takes one batch early to see the end), so that only the consumer
can say what is done. A cursor hands out each rank's share of the batches and moves when a share
comes back as consumed; it counts the problems of all ranks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Problem


class Cursor:
    """A position in a stream of batches: the number of problems consumed and the last one's id."""

    def __init__(self, consumed: int = 0, last_id: str = "") -> None:
        self.consumed = consumed
        self.last_id = last_id
        self._given: deque[tuple[list[Problem], list[Problem]]] = deque()  # (share, its whole batch)

    def give(
        self, batches: Iterable[list[Problem]], rank: int = 0, world: int = 1
    ) -> Iterator[list[Problem]]:
        """This rank's share of each batch after the cursor (see `share`).

        Args:
            batches: the whole stream from its beginning.
            rank: this process, from 0.
            world: number of processes.

        Raises:
            UserError: the stream is not the one that the cursor has counted.
        """
        self._given.clear()
        for batch in after(batches, self.consumed, self.last_id):
            mine = share(batch, rank, world)
            self._given.append((mine, batch))
            yield mine

    def mark_consumed(self, problems: list[Problem]) -> None:
        """Move past the oldest batch given out, of which `problems` is this rank's share."""
        if not self._given or self._given[0][0] != problems:
            raise RuntimeError("batches are consumed in the order in which they were given, each once")
        _, batch = self._given.popleft()
        self.consumed += len(batch)
        self.last_id = batch[-1].id


def share(batch: list[Problem], rank: int, world: int) -> list[Problem]:
    """The problems of a global batch that one rank plays: every `world`-th, perhaps none.

    Shares differ by at most one problem, and every rank gets one share of every batch.
    """
    return batch[rank::world]


def after(batches: Iterable[list[Problem]], consumed: int, last_id: str) -> Iterator[list[Problem]]:
    """The batches after the first `consumed` problems, the last of which has id `last_id`.

    Raises:
        UserError: another problem stands there: the data have changed.
    """
    passed = 0
    for batch in batches:
        rest = max(consumed - passed, 0)
        if 0 < rest <= len(batch) and batch[rest - 1].id != last_id:
            raise UserError(
                f"the data have changed since the checkpoint: problem {consumed} was {last_id} and is now "
                f"{batch[rest - 1].id}; restore the file or the data settings of that run, or start a new run"
            )
        passed += len(batch)
        if batch[rest:]:
            yield batch[rest:]
    if passed < consumed:
        raise UserError(
            f"the data hold {passed} problems, but the checkpoint has consumed {consumed}: restore the file, "
            "the limit or the data settings of that run, or start a new run"
        )

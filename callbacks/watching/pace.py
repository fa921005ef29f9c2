"""Every so many problems or steps, whatever the batch size."""

from __future__ import annotations

from flowdpo_pl.errors import COUNT, require_within


class Pace:
    """Tells when a count has passed a multiple of `every`."""

    def __init__(self, every: int, name: str = "every_n_problems") -> None:
        require_within(COUNT, {name: every})
        self._every = every
        self._seen = 0

    def start(self, seen: int) -> None:
        """The count goes on from `seen`, whose multiples are done."""
        self._seen = seen

    def due(self, seen: int) -> bool:
        """Whether a multiple was passed since the last call."""
        before, self._seen = self._seen, seen
        return seen // self._every > before // self._every

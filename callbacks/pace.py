"""Every so many problems, whatever the batch size."""

from __future__ import annotations

from flowdpo_pl.errors import UserError


class Pace:
    """Tells when the stream has passed a multiple of `every_n_problems`."""

    def __init__(self, every_n_problems: int) -> None:
        if every_n_problems < 1:
            raise UserError(f"every_n_problems is {every_n_problems}: give at least 1")
        self._every = every_n_problems
        self._seen = 0

    def start(self, seen: int) -> None:
        """The stream goes on from position `seen`, whose multiples are done."""
        self._seen = seen

    def due(self, seen: int) -> bool:
        """Whether a multiple was passed since the last call."""
        before, self._seen = self._seen, seen
        return seen // self._every > before // self._every

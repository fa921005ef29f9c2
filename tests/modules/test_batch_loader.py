from __future__ import annotations

from flowdpo_pl.modules.batch_loader import batch_loader
from flowdpo_pl.types import Problem

BATCHES = [[Problem("a", "1?", "1"), Problem("b", "2?", "2")], []]


def test_batches_come_as_they_were_cut_and_anew_each_time() -> None:
    asked = []

    def batches():  # type: ignore[no-untyped-def]
        asked.append(1)
        return iter(BATCHES)

    loader = batch_loader(batches)
    assert list(loader) == BATCHES and list(loader) == BATCHES
    assert len(asked) == 2

"""How a batch's pairs of one agent are dealt out to optimizer steps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise

from flowdpo_pl.distributed import rank, ranks, whole_batch
from flowdpo_pl.learn.packing import L
from flowdpo_pl.types import Problem


def update_steps(
    pairs: Sequence[L], problems: Sequence[Problem], pairs_per_update: int | None
) -> list[Sequence[L]]:
    """This rank's pairs of each step; all ranks have as many steps, of which some may be empty.

    Steps are cut in the order of the stream, in the same places however many ranks share a batch.

    Args:
        pairs: of this rank, in order.
        problems: this rank's share of the batch.
        pairs_per_update: pairs of a step, of all ranks together, at most about; None: all in one.
    """
    if not pairs_per_update:
        return [pairs]
    counted = Counter(pair.problem.id for pair in pairs)
    counts = whole_batch([counted[problem.id] for problem in problems])
    before = [0, *accumulate(counts)]
    """How many pairs the stream has before each problem of the batch, and in all."""
    places = [
        place
        for number in range(rank(), len(counts), ranks())
        for place in range(before[number], before[number + 1])
    ]
    steps = max(1, math.ceil(before[-1] / pairs_per_update))
    cuts = [before[-1] * step // steps for step in range(steps + 1)]
    return [
        [pair for place, pair in zip(places, pairs, strict=True) if low <= place < high]
        for low, high in pairwise(cuts)
    ]

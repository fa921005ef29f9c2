"""When Stop says Yes and No, against what the partial answer already holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from flowdpo_pl.asked import PARTIAL_ANSWERS, Asked


class StopConfusion(Metric):
    """Counts Stop's verdicts on the main chains by what the partial answer held at that moment.

    *Early* is a Yes on none or wrong, *late* a No on right, *cut* a chain that reached the cap on chunks
    without a Yes. Early on wrong isn't always Stop's fault: it may judge completeness, not correctness,
    so the three kinds are given apart as well.

    States are int64, persistent, and add up over ranks.
    """

    full_state_update = False

    verdicts: Tensor
    """Number of Stop nodes by partial answer (none, wrong, right) and verdict (No, Yes): int64 [3, 2]."""
    cut: Tensor
    """Number of chains that ended at the cap (int64 scalar)."""
    chains: Tensor
    """Number of main chains (int64 scalar)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state(
            "verdicts", torch.zeros(3, 2, dtype=torch.int64), dist_reduce_fx="sum", persistent=True
        )
        for name in ("cut", "chains"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum", persistent=True)

    def update(self, chains: Sequence[Sequence[Asked]]) -> None:
        """Adds main chains, each as what Stop was asked on it (`asked`)."""
        verdicts = torch.zeros(3, 2, dtype=torch.int64)
        for held, said_yes in (question for chain in chains for question in chain):
            verdicts[PARTIAL_ANSWERS.index(held), int(said_yes)] += 1
        self.verdicts = self.verdicts + verdicts.to(self.verdicts.device)
        self.cut = self.cut + sum(not (chain and chain[-1][1]) for chain in chains)
        self.chains = self.chains + len(chains)

    def compute(self) -> dict[str, Tensor]:
        """Counts (int64) and rates (float32; NaN where nothing was counted) as scalar tensors.

        Counts: `stop/nodes/{none,wrong,right}`, `stop/early`, `stop/late`, `stop/cut`. Rates:
        `stop/early_rate` of the nodes with none or wrong, `stop/late_rate` of those with right,
        `stop/cut_rate` of the chains, `stop/yes_rate/{none,wrong,right}` of the nodes of that kind.
        """
        nodes, yes = self.verdicts.sum(dim=1), self.verdicts[:, 1]
        early, late = yes[:2].sum(), self.verdicts[2, 0]
        values = {f"stop/nodes/{kind}": nodes[row] for row, kind in enumerate(PARTIAL_ANSWERS)}
        values |= {"stop/early": early, "stop/late": late, "stop/cut": self.cut}
        values |= {
            "stop/early_rate": early / nodes[:2].sum(),
            "stop/late_rate": late / nodes[2],
            "stop/cut_rate": self.cut / self.chains,
        }
        return values | {
            f"stop/yes_rate/{kind}": yes[row] / nodes[row] for row, kind in enumerate(PARTIAL_ANSWERS)
        }

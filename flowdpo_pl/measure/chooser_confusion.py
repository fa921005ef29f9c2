"""When an agent that chooses says finished, against what the partial answer already holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from flowdpo_pl.measure.chooser_questions import PARTIAL_ANSWERS, ChooserQuestion


class ChooserConfusion(Metric):
    """Counts a chooser's choices on the main chains by what the partial answer held at that moment.

    *Early* is finished on none or wrong, *late* going on at right, *cut* a chain that reached the flow's
    limit. Early on wrong isn't always the chooser's fault: it may judge completeness, not correctness, so
    the three kinds are given apart as well.

    States are int64, persistent, and add up over ranks.
    """

    full_state_update = False

    choices: Tensor
    """Its nodes by partial answer (none, wrong, right) and choice (go on, finished): int64 [3, 2]."""
    cut: Tensor
    """Number of chains that ended at the limit (int64 scalar)."""
    chains: Tensor
    """Number of main chains (int64 scalar)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("choices", torch.zeros(3, 2, dtype=torch.int64), dist_reduce_fx="sum", persistent=True)
        for name in ("cut", "chains"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum", persistent=True)

    def update(self, chains: Sequence[Sequence[ChooserQuestion]]) -> None:
        """Adds main chains, each as what the chooser was asked on it (`chooser_questions`)."""
        choices = torch.zeros(3, 2, dtype=torch.int64)
        for held, finished in (question for chain in chains for question in chain):
            choices[PARTIAL_ANSWERS.index(held), int(finished)] += 1
        self.choices = self.choices + choices.to(self.choices.device)
        self.cut = self.cut + sum(not (chain and chain[-1][1]) for chain in chains)
        self.chains = self.chains + len(chains)

    def compute(self) -> dict[str, Tensor]:
        """Counts (int64) and rates (float32; NaN where nothing was counted) as scalar tensors.

        Counts: `chooser/nodes/{none,wrong,right}`, `chooser/early`, `chooser/late`, `chooser/cut`. Rates:
        `chooser/early_rate` of the nodes with none or wrong, `chooser/late_rate` of those with right,
        `chooser/cut_rate` of the chains, `chooser/finished_rate/{none,wrong,right}` of that kind's nodes.
        """
        nodes, finished = self.choices.sum(dim=1), self.choices[:, 1]
        early, late = finished[:2].sum(), self.choices[2, 0]
        values = {f"chooser/nodes/{kind}": nodes[row] for row, kind in enumerate(PARTIAL_ANSWERS)}
        values |= {"chooser/early": early, "chooser/late": late, "chooser/cut": self.cut}
        values |= {
            "chooser/early_rate": early / nodes[:2].sum(),
            "chooser/late_rate": late / nodes[2],
            "chooser/cut_rate": self.cut / self.chains,
        }
        return values | {
            f"chooser/finished_rate/{kind}": finished[row] / nodes[row]
            for row, kind in enumerate(PARTIAL_ANSWERS)
        }

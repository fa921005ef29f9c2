"""When an agent that chooses says finished, against what the partial answer already holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
        """Counts (int64) and rates (float32) as scalar tensors.

        Counts: `chooser/nodes/{none,wrong,right}`, `chooser/finished/{none,wrong,right}` (of these nodes),
        `chooser/early`, `chooser/late`, `chooser/cut`, `chooser/chains`. Rates: those of `chooser_rates`.
        """
        nodes, finished = self.choices.sum(dim=1), self.choices[:, 1]
        counts = {f"chooser/nodes/{kind}": nodes[row] for row, kind in enumerate(PARTIAL_ANSWERS)}
        counts |= {f"chooser/finished/{kind}": finished[row] for row, kind in enumerate(PARTIAL_ANSWERS)}
        counts |= {"chooser/early": finished[:2].sum(), "chooser/late": self.choices[2, 0]}
        counts |= {"chooser/cut": self.cut, "chooser/chains": self.chains}
        rates = chooser_rates({name: float(count) for name, count in counts.items()})
        return counts | {name: torch.tensor(rate, device=self.cut.device) for name, rate in rates.items()}


def chooser_rates(counts: Mapping[str, float]) -> dict[str, float]:
    """Shares from the counts of a `ChooserConfusion` or from sums of several; NaN where nothing was counted.

    `chooser/early_rate` of the nodes with none or wrong, `chooser/late_rate` of those with right,
    `chooser/cut_rate` of the chains, `chooser/finished_rate/{none,wrong,right}` of that kind's nodes.
    """

    def share(part: str, *of: str) -> float:
        whole = sum(counts[f"chooser/{name}"] for name in of)
        return counts[f"chooser/{part}"] / whole if whole else math.nan

    rates = {
        "early_rate": share("early", "nodes/none", "nodes/wrong"),
        "late_rate": share("late", "nodes/right"),
        "cut_rate": share("cut", "chains"),
        **{f"finished_rate/{kind}": share(f"finished/{kind}", f"nodes/{kind}") for kind in PARTIAL_ANSWERS},
    }
    return {f"chooser/{name}": rate for name, rate in rates.items()}

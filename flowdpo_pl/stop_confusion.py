"""When Stop says Yes and No, against what the partial answer already holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torchmetrics import Metric

from flowdpo_pl.markers import extract_marked
from flowdpo_pl.types import STOP, Move, RolloutTree, Verdict

PartialAnswer: TypeAlias = Literal["none", "wrong", "right"]
"""What a partial answer holds: no explicitly marked result, a wrong one, the right one."""

PARTIAL_ANSWERS: tuple[PartialAnswer, ...] = get_args(PartialAnswer)


def partial_answer(verifier: Callable[[str, str], Verdict], text: str, gold: str) -> PartialAnswer:
    """What a partial answer holds, by an explicit marker only (a last number is no result yet)."""
    if extract_marked(text) is None:
        return "none"
    return "right" if verifier(text, gold).correct else "wrong"


class StopConfusion(Metric):
    """Counts Stop's verdicts on the main chains by what the partial answer held at that moment.

    *Early* is a Yes on none or wrong, *late* a No on right, *cut* a chain that reached the cap on chunks
    without a Yes. Early on wrong isn't always Stop's fault: it may judge completeness, not correctness,
    so the three kinds are given apart as well.

    States are int64, persistent, and add up over ranks.

    Args:
        judge: Called with the partial answer's text and the gold answer; says what the text holds, by an
            explicit marker only (a last number is no result yet).
        text_of: Called with the written moves before the Stop node, in order; gives the partial answer.
    """

    full_state_update = False

    verdicts: Tensor
    """Number of Stop nodes by partial answer (none, wrong, right) and verdict (No, Yes): int64 [3, 2]."""
    cut: Tensor
    """Number of chains that ended at the cap (int64 scalar)."""
    chains: Tensor
    """Number of main chains (int64 scalar)."""

    def __init__(
        self,
        judge: Callable[[str, str], PartialAnswer],
        text_of: Callable[[Sequence[Move]], str],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.judge = judge
        self.text_of = text_of
        self.add_state(
            "verdicts", torch.zeros(3, 2, dtype=torch.int64), dist_reduce_fx="sum", persistent=True
        )
        for name in ("cut", "chains"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum", persistent=True)

    def update(self, trees: Sequence[RolloutTree]) -> None:
        """Adds the main chains of a batch of trees."""
        verdicts = torch.zeros(3, 2, dtype=torch.int64)
        cut = 0
        for tree in trees:
            moves = tree.main.moves
            for node, move in enumerate(moves):
                if move.agent != STOP:
                    continue
                text = self.text_of([earlier for earlier in moves[:node] if earlier.option is None])
                # A chain ends with Stop's move exactly if that was a Yes: after the last chunk nobody asks.
                said_yes = node == len(moves) - 1
                verdicts[PARTIAL_ANSWERS.index(self.judge(text, tree.problem.gold)), int(said_yes)] += 1
            cut += moves[-1].agent != STOP
        self.verdicts = self.verdicts + verdicts.to(self.verdicts.device)
        self.cut = self.cut + cut
        self.chains = self.chains + len(trees)

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

"""One agent's update from its preference pairs: packed forward, reference, loss, gradients, step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from flowdpo_pl.agents import Agents
from flowdpo_pl.distributed import sum_gradients, summed
from flowdpo_pl.draws import Draws
from flowdpo_pl.losses import PairScores, PreferenceLoss, SigmoidLoss
from flowdpo_pl.packing import PackedTree, pack
from flowdpo_pl.prompts import PromptBook
from flowdpo_pl.scoring import MicroBatch, micro_batches, move_logprobs
from flowdpo_pl.token_logprobs import OutputHead
from flowdpo_pl.types import Agent, PreferencePair


@dataclass(frozen=True)
class Learning:
    """How one agent learns (defaults: table 2 of the paper)."""

    lr: float = 5e-6
    """Adam's learning rate."""
    loss: PreferenceLoss = field(default_factory=SigmoidLoss)
    """Loss class, with its beta."""
    max_grad_norm: float = 1.0
    """Gradients of this agent are clipped to this norm; 0: never."""


@dataclass(frozen=True)
class Learnt:
    """What one update saw; means over all pairs of all ranks (nan without pairs)."""

    pairs: int
    loss: float
    margin: float
    """Mean of the loss's margin, policy against reference, in nats, before beta."""
    chosen_logprob: float
    rejected_logprob: float
    preferred: float
    """Share of pairs whose chosen move the policy prefers more than the reference does."""
    grad_norm: float
    tokens: int
    """Packed tokens read by this rank."""
    score_seconds: float
    """Reference forwards."""
    update_seconds: float
    """Policy forwards, backwards and the step."""
    set_aside: bool
    """The loss or gradient was not finite: nothing was learnt from these pairs."""


_SUMS = ("loss", "margin", "chosen", "rejected", "preferred")


class PreferenceLearner:
    """Updates the agents one at a time, each from its own pairs."""

    def __init__(
        self,
        agents: Agents,
        head: OutputHead,
        prompts: PromptBook,
        draws: Draws,
        backward: Callable[[Tensor], None],
        token_budget: int = 8192,
    ) -> None:
        """`token_budget`: padded tokens in one forward; `backward`: the trainer's."""
        self.agents = agents
        self.head = head
        self.prompts = prompts
        self.draws = draws
        self.backward = backward
        self.token_budget = token_budget

    def learn(
        self,
        agent: Agent,
        pairs: Sequence[PreferencePair],
        learning: Learning,
        optimizer: Optimizer | LightningOptimizer,
        update: int,
    ) -> Learnt:
        """One optimizer step of `agent` from all these pairs, normalised over all ranks' pairs.

        `update` numbers the run's updates; it seeds dropout. No pairs on any rank: no step, no gradient.
        """
        device = self.agents.device
        total = int(summed([len(pairs)], device)[0])
        trees = pack(pairs, self.prompts)
        parameters = self.agents.parameters_of(agent)
        sums = dict.fromkeys(_SUMS, 0.0)
        score_seconds, start = 0.0, time.perf_counter()
        if total:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(self.draws.key("dropout", agent, update) >> 1)
                sums, score_seconds = self._accumulate(agent, trees, learning.loss, total)
        totals = dict(zip(_SUMS, summed([sums[name] for name in _SUMS], device), strict=True))
        grad_norm = math.nan
        if total:
            sum_gradients(parameters)
            grad_norm = float(nn.utils.clip_grad_norm_(parameters, learning.max_grad_norm or math.inf))
        sound = math.isfinite(totals["loss"]) and (not total or math.isfinite(grad_norm))
        if total and sound:
            optimizer.step()
            self.agents.changed()
        optimizer.zero_grad(set_to_none=True)
        mean = {name: value / total if total else math.nan for name, value in totals.items()}
        return Learnt(
            pairs=total,
            loss=mean["loss"],
            margin=mean["margin"],
            chosen_logprob=mean["chosen"],
            rejected_logprob=mean["rejected"],
            preferred=mean["preferred"],
            grad_norm=grad_norm,
            tokens=sum(map(len, trees)),
            score_seconds=score_seconds,
            update_seconds=time.perf_counter() - start - score_seconds,
            set_aside=not sound,
        )

    def _accumulate(
        self, agent: Agent, trees: Sequence[PackedTree], loss: PreferenceLoss, total: int
    ) -> tuple[dict[str, float], float]:
        """Gradients of `loss` over `total` pairs, added up on the agent; sums and seconds of scoring.

        Out of memory starts over with half the budget.
        """
        budget = self.token_budget
        while True:
            try:
                return self._accumulate_within(agent, trees, loss, total, budget)
            except torch.OutOfMemoryError:
                for parameter in self.agents.parameters_of(agent):
                    parameter.grad = None
                longest = max(map(len, trees))
                if budget <= longest:
                    raise
                budget = max(longest, budget // 2)

    def _accumulate_within(
        self, agent: Agent, trees: Sequence[PackedTree], loss: PreferenceLoss, total: int, budget: int
    ) -> tuple[dict[str, float], float]:
        sums = dict.fromkeys(_SUMS, 0.0)
        seconds = 0.0
        for batch in micro_batches(trees, budget, self.agents.device):
            start = time.perf_counter()
            with self.agents.reference():
                reference = move_logprobs(self.agents, batch, self.head)
            seconds += time.perf_counter() - start
            with self.agents.acting_as(agent):  # backward inside: checkpointing recomputes as this agent
                scores = pair_scores(move_logprobs(self.agents, batch, self.head), reference, batch)
                losses = loss(scores)
                self.backward(losses.sum() / total)
            for name, values in {
                "loss": losses,
                "margin": scores.margin,
                "chosen": scores.policy_chosen,
                "rejected": scores.policy_rejected,
                "preferred": (scores.margin > 0).float(),
            }.items():
                sums[name] += float(values.detach().sum())
        return sums, seconds


def averaged(learnt: Sequence[Learnt]) -> dict[str, float]:
    """The numbers of several updates as one: sums of counts and seconds, means over pairs."""
    pairs = sum(part.pairs for part in learnt)
    numbers: dict[str, float] = {"updates_set_aside": float(sum(part.set_aside for part in learnt))}
    for name in ("tokens", "score_seconds", "update_seconds"):
        numbers[name] = float(sum(getattr(part, name) for part in learnt))
    for name in ("loss", "margin", "chosen_logprob", "rejected_logprob", "preferred", "grad_norm"):
        weighted = [getattr(part, name) * part.pairs for part in learnt if part.pairs]
        numbers[name] = sum(weighted) / pairs if pairs else math.nan
    return numbers


def pair_scores(policy: Tensor, reference: Tensor, batch: MicroBatch) -> PairScores:
    """Scores of pairs from those of moves `[M]`, chosen and rejected in turn."""
    lengths = torch.zeros_like(policy).index_add(
        0, batch.owner, torch.ones_like(batch.owner, dtype=policy.dtype)
    )
    return PairScores(
        policy_chosen=policy[0::2],
        policy_rejected=policy[1::2],
        reference_chosen=reference[0::2],
        reference_rejected=reference[1::2],
        chosen_tokens=lengths[0::2],
        rejected_tokens=lengths[1::2],
    )

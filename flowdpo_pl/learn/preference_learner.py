"""One agent's update from its preference pairs: packed forward, reference, loss, gradients, step.

Shapes: M moves, two a pair.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from flowdpo_pl.distributed import summed
from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import NOT_NEGATIVE, POSITIVE, require_within
from flowdpo_pl.learn.adapter_update import AdapterStep, AdapterUpdate, Optimizer
from flowdpo_pl.learn.losses import PairScores, PreferenceLoss, SigmoidLoss
from flowdpo_pl.learn.packing import pack
from flowdpo_pl.learn.scoring import MicroBatch, move_logprobs
from flowdpo_pl.play.players import Players
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

    def __post_init__(self) -> None:
        require_within(POSITIVE, {"lr": self.lr})
        require_within(NOT_NEGATIVE, {"max_grad_norm": self.max_grad_norm})


@dataclass(frozen=True)
class PreferenceUpdate:
    """What one update saw; means over all pairs of all ranks (nan without pairs).

    What compares with the reference (margin, shift, preferred) is nan where the loss needs none.
    """

    pairs: int
    loss: float
    margin: float
    """Mean of the loss's margin, policy against reference, in nats, before beta."""
    chosen_logprob: float
    rejected_logprob: float
    chosen_shift: float
    """How much more likely the chosen moves are to the policy than to the reference, in nats."""
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


_SUMS = ("loss", "margin", "chosen", "rejected", "shift", "preferred")


class PreferenceLearner:
    """Updates the agents one at a time, each from its own pairs."""

    def __init__(
        self,
        players: Players,
        draws: Draws,
        backward: Callable[[Tensor], None],
        token_budget: int,
    ) -> None:
        """`token_budget`: padded tokens in one forward; `backward`: the trainer's."""
        self.agents = players.agents
        self.head = players.head
        self.prompts = players.prompts
        self.backward = backward
        self.update = AdapterUpdate(players.agents, draws, token_budget)

    def learn(
        self,
        agent: Agent,
        pairs: Sequence[PreferencePair],
        learning: Learning,
        optimizer: Optimizer,
        update: int,
    ) -> PreferenceUpdate:
        """One optimizer step of `agent` from all these pairs, normalised over all ranks' pairs.

        `update` numbers the run's updates; it seeds dropout. No pairs on any rank: no step, no gradient.
        """
        start, score_seconds = time.perf_counter(), 0.0
        total = int(summed([len(pairs)], self.agents.device)[0])
        trees = pack(pairs, self.prompts)

        def contribution(batch: MicroBatch) -> dict[str, float]:
            nonlocal score_seconds
            started = time.perf_counter()
            reference = self._reference(agent, batch, learning.loss)
            score_seconds += time.perf_counter() - started
            with self.agents.acting_as(agent, batch.keys):  # backward inside: checkpointing recomputes as it
                scores = pair_scores(move_logprobs(self.agents, batch, self.head), reference, batch)
                losses = learning.loss(scores)
                self.backward(losses.sum() / total)
            values = {
                "loss": losses,
                "margin": scores.margin,
                "chosen": scores.policy_chosen,
                "rejected": scores.policy_rejected,
                "shift": scores.policy_chosen - scores.reference_chosen,
                "preferred": _positive(scores.margin),
            }
            return {name: float(value.detach().sum()) for name, value in values.items()}

        if total:
            done = self.update.step(
                agent, trees, _SUMS, contribution, optimizer, learning.max_grad_norm, update
            )
        else:
            done = AdapterStep(dict.fromkeys(_SUMS, math.nan), math.nan, set_aside=False)
        mean = {name: value / max(1, total) for name, value in done.sums.items()}
        return PreferenceUpdate(
            pairs=total,
            loss=mean["loss"],
            margin=mean["margin"],
            chosen_logprob=mean["chosen"],
            rejected_logprob=mean["rejected"],
            chosen_shift=mean["shift"],
            preferred=mean["preferred"],
            grad_norm=done.grad_norm,
            tokens=sum(map(len, trees)),
            score_seconds=score_seconds,
            update_seconds=time.perf_counter() - start - score_seconds,
            set_aside=done.set_aside,
        )

    def _reference(self, agent: Agent, batch: MicroBatch, loss: PreferenceLoss) -> Tensor:
        """What the reference says of the moves, `[M]`; nan where the loss does not ask."""
        if not loss.needs_reference:
            return torch.full((batch.moves,), math.nan, device=self.agents.device)
        with self.agents.reference(agent):
            return move_logprobs(self.agents, batch, self.head)


def _positive(margin: Tensor) -> Tensor:
    """1 where a margin is above 0, else 0; nan where it is unknown."""
    return torch.where(margin.isnan(), margin, (margin > 0).float())


def averaged(learnt: Sequence[PreferenceUpdate]) -> dict[str, float]:
    """The numbers of several updates as one: sums of counts and seconds, means over pairs."""
    pairs = sum(part.pairs for part in learnt)
    numbers: dict[str, float] = {"updates_set_aside": float(sum(part.set_aside for part in learnt))}
    for name in ("tokens", "score_seconds", "update_seconds"):
        numbers[name] = float(sum(getattr(part, name) for part in learnt))
    for name in (
        "loss",
        "margin",
        "chosen_logprob",
        "rejected_logprob",
        "chosen_shift",
        "preferred",
        "grad_norm",
    ):
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

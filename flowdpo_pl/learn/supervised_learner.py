"""One agent's update from traces: each trace written after its question, loss on the trace alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from flowdpo_pl.distributed import summed
from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import NOT_NEGATIVE, POSITIVE, SHARE, require_within
from flowdpo_pl.learn.adapter_update import AdapterUpdate, Optimizer
from flowdpo_pl.learn.packing import ScoredMove, pack_rows
from flowdpo_pl.learn.scoring import MicroBatch, move_logprobs
from flowdpo_pl.play.players import Players
from flowdpo_pl.play.prompts import PromptBook
from flowdpo_pl.results.traces import Trace
from flowdpo_pl.types import Agent, Problem


@dataclass(frozen=True)
class SupervisedLearning:
    """How a model learns from traces (defaults: table 3 of the paper)."""

    lr: float = 2e-4
    """Adam's highest learning rate."""
    warmup_ratio: float = 0.1
    """Share of the run's updates over which the rate rises from 0; then it falls to 0. Both linearly."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0: never."""

    def __post_init__(self) -> None:
        require_within(POSITIVE, {"lr": self.lr})
        require_within(SHARE, {"warmup_ratio": self.warmup_ratio})
        require_within(NOT_NEGATIVE, {"max_grad_norm": self.max_grad_norm})

    def lr_at(self, update: int, updates: int) -> float:
        """The rate of an update, from 0 on, of so many; no update has rate 0."""
        warmup = math.ceil(self.warmup_ratio * updates)
        if update < warmup:
            return self.lr * (update + 1) / warmup
        return self.lr * max(0.0, (updates - update) / max(1, updates - warmup))


@dataclass(frozen=True)
class SupervisedUpdate:
    """What one update saw; means over all completion tokens of all ranks."""

    traces: int
    loss: float
    """In nats a completion token."""
    completion_tokens: int
    grad_norm: float
    tokens: int
    """Read, questions included."""
    seconds: float
    set_aside: bool
    """The loss or gradient was not finite: nothing was learnt from these traces."""


@dataclass(frozen=True)
class TraceTokens:
    """A trace as its agent learns to write it."""

    token_ids: tuple[int, ...]
    """With one end token, the last."""
    note: str = ""
    """Why these are not the tokens that its text has, or had, elsewhere; empty if nothing is to be said."""


def trace_tokens(trace: Trace, prompts: PromptBook) -> TraceTokens:
    """The tokens that the trace was written in, where the file holds them; else those of its text.

    Tokens of the file count if this tokenizer reads the text in them and none ends a turn. In text nothing is
    a control token: an end token there would be impossible to learn, since the first one stands for all.
    """
    if trace.token_ids and prompts.wrote(trace.token_ids, trace.trace):
        return TraceTokens((*trace.token_ids, prompts.end_ids[0]))
    ids = prompts.written(trace.trace)
    if trace.token_ids and ids[:-1] != trace.token_ids:
        return TraceTokens(ids, "tokenised again, in other tokens")
    if prompts.holds_control(trace.trace):
        return TraceTokens(ids, "with control tokens, read as text")
    return TraceTokens(ids)


class SupervisedLearner:
    """Updates one agent from traces, or says how likely it finds them."""

    def __init__(
        self,
        players: Players,
        agent: Agent,
        draws: Draws,
        backward: Callable[[Tensor], None],
        token_budget: int,
    ) -> None:
        """`token_budget`: padded tokens in one forward; `backward`: the trainer's."""
        self.agents = players.agents
        self.agent = agent
        self.head = players.head
        self.prompts = players.prompts
        self.backward = backward
        self.update = AdapterUpdate(players.agents, draws, token_budget)

    def sequence(self, trace: Trace) -> ScoredMove:
        """The trace as the agent would have written it: scored with its end token, after the question."""
        problem = Problem(trace.problem_id, trace.question, trace.gold)
        before = self.prompts.context(self.agent, problem, ()).token_ids
        return ScoredMove(before, trace_tokens(trace, self.prompts).token_ids, depth=0, problem=problem.id)

    def learn(
        self,
        traces: Sequence[Trace],
        learning: SupervisedLearning,
        optimizer: Optimizer,
        update: int,
    ) -> SupervisedUpdate:
        """One optimizer step on the mean over the completion tokens of all ranks' traces.

        `update` numbers the run's updates; it seeds dropout.
        """
        start = time.perf_counter()
        sequences = [self.sequence(trace) for trace in traces]
        rows = pack_rows(sequences)
        own = [len(traces), sum(len(s.move) for s in sequences), sum(map(len, rows))]
        count, completion_tokens, tokens = map(int, summed(own, self.agents.device))

        def contribution(batch: MicroBatch) -> dict[str, float]:
            with self.agents.acting_as(self.agent, batch.keys):  # backward inside: checkpointing recomputes
                loss = -move_logprobs(self.agents, batch, self.head).sum()
                self.backward(loss / completion_tokens)
            return {"loss": float(loss.detach())}

        done = self.update.step(
            self.agent, rows, ["loss"], contribution, optimizer, learning.max_grad_norm, update
        )
        return SupervisedUpdate(
            traces=count,
            loss=done.sums["loss"] / completion_tokens,
            completion_tokens=completion_tokens,
            grad_norm=done.grad_norm,
            tokens=tokens,
            seconds=time.perf_counter() - start,
            set_aside=done.set_aside,
        )

    def measure(self, traces: Sequence[Trace]) -> tuple[float, int]:
        """Summed loss in nats of this rank's traces, and their completion tokens; nothing is learnt."""
        sequences = [self.sequence(trace) for trace in traces]

        def contribution(batch: MicroBatch) -> dict[str, float]:
            with self.agents.acting_as(self.agent):
                return {"loss": -float(move_logprobs(self.agents, batch, self.head).sum())}

        sums = self.update.sums(self.agent, pack_rows(sequences), ["loss"], contribution)
        return sums["loss"], sum(len(sequence.move) for sequence in sequences)

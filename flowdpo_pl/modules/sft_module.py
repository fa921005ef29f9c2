"""Supervised fine-tuning on traces: what Compile learns with, and what makes a warm start."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities import rank_zero_warn

from flowdpo_pl.distributed import rank, ranks, summed, whole_batch
from flowdpo_pl.errors import COUNT, UserError, require_within
from flowdpo_pl.learn.supervised_learner import SupervisedLearner, SupervisedLearning, trace_tokens
from flowdpo_pl.measure.memory import peak_memory_bytes
from flowdpo_pl.modules.adapter_module import AdapterModule
from flowdpo_pl.modules.run_length import stopped_by_trainer
from flowdpo_pl.modules.trace_data_module import TraceDataModule
from flowdpo_pl.plan.demand import Demand
from flowdpo_pl.play.agent_prompt import QUESTION
from flowdpo_pl.play.players import Players
from flowdpo_pl.play.team import Team
from flowdpo_pl.results.traces import Trace
from flowdpo_pl.visible import visible_line


class SFTModule(AdapterModule):
    """The agent that writes the answer learns to write traces; the loss is on the traces alone.

    An optimizer step takes the mean over all completion tokens of its traces, which are those of
    `accumulation` batches, of all ranks: two batches of 8 are one of 16, exactly.
    """

    reads = Trace

    def __init__(
        self,
        team: Team,
        learning: SupervisedLearning = SupervisedLearning(),
        accumulation: int = 2,
        seed: int = 0,
    ) -> None:
        """
        Args:
            team: base, the prompt of the flow's writer and the shape of its adapter, which in the paper is
                twice as wide here as in a flow (r 16, alpha 16). The flow's other agents are not loaded, and
                what only playing depends on (chunks, `budget.decode_tokens`) is not used.
            learning: how it learns.
            accumulation: batches whose traces make one optimizer step.
            seed: of dropout and of the adapter's start; linked to `seed_everything`.
        """
        require_within(COUNT, {"model.accumulation": accumulation})
        writer = team.flow.writer
        prompt = team.prompts.get(writer)
        if prompt and (prompt.options or set(prompt.places(team.flow.agents)) != {QUESTION}):
            raise UserError(
                f"model.team.prompts.{writer} is one of an agent that reads what was said or chooses: "
                "give the prompt of an agent that writes, with {question} alone."
            )
        super().__init__(team, seed)
        self.learning = learning
        self.accumulation = accumulation
        self._waiting: list[Trace] = []
        """Traces of the batches since the last optimizer step, of all ranks."""
        self._updates = 0
        self._measured = [0.0, 0.0]
        """Summed validation loss of this rank, and its completion tokens."""

    @property
    def position(self) -> int:
        """Optimizer steps."""
        return self._updates

    @property
    def agent(self) -> str:
        """Who learns."""
        return self.team.flow.writer

    @property
    def ended_by(self) -> str:
        """Which of the trainer's settings has ended the run."""
        return stopped_by_trainer(self.trainer)

    @cached_property
    def learner(self) -> SupervisedLearner:
        tokens = self.team.budget.update_tokens
        return SupervisedLearner(self.players, self.agent, self.draws, self.manual_backward, tokens)

    def identity(self) -> dict[str, Any]:
        """Without what only playing depends on."""
        own = self.players.identity()
        return {name: own[name] for name in ("base", "lora", "prompts")}

    def load(self) -> Players:
        return self.team.load_writer(self.seed)

    def demand(self) -> Demand:
        return Demand((self.agent,), (self.agent,), batches=self.accumulation)

    def longest(self) -> int:
        """Longest trace with its question that the model reads, in tokens; the data module asks."""
        return self.players.agents.context_limit

    def tokens_of(self, trace: Trace) -> int:
        """Length of the trace with its question; the data module asks."""
        sequence = self.learner.sequence(trace)
        return len(sequence.before) + len(sequence.move)

    def note_on(self, trace: Trace) -> str:
        """What is to be said of how the trace becomes tokens, or nothing; the data module counts it."""
        return trace_tokens(trace, self.players.prompts).note

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter in PEFT's format to `folder`, which does not exist yet."""
        self.players.agents.save(folder)
        inner = folder / self.agent
        for file in inner.iterdir():
            file.rename(folder / file.name)
        inner.rmdir()

    def saved(self) -> dict[str, Any]:
        """What waits for the next step is in it."""
        return {"updates": self._updates, "waiting": [asdict(trace) for trace in self._waiting]}

    def restore(self, saved: Mapping[str, Any]) -> None:
        self._updates = saved["updates"]
        self._waiting = [
            Trace(**{**values, "token_ids": tuple(values.get("token_ids", ()))})
            for values in saved["waiting"]
        ]

    # What Lightning asks for.

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.agents.parameters_of(self.agent), lr=self.learning.lr)

    def training_step(self, batch: Sequence[Trace], batch_idx: int) -> dict[str, float] | None:
        """Keeps the batch until there are `accumulation` of them, or the epoch ends; then learns."""
        self._waiting.extend(whole_batch(batch))
        if isinstance(datamodule := getattr(self.trainer, "datamodule", None), TraceDataModule):
            datamodule.mark_consumed()
        if (batch_idx + 1) % self.accumulation and not self.trainer.is_last_batch:
            return None
        values = self._learn(self._waiting)
        self._waiting = []
        self.log_row(values)  # an optimizer step; Lightning would write one a batch
        for name in ("train/loss", "tokens_per_second"):
            self.log(name, values[name], prog_bar=True, logger=False, batch_size=1)
        return values

    def on_validation_epoch_start(self) -> None:
        self._measured = [0.0, 0.0]

    def validation_step(self, batch: Sequence[Trace], batch_idx: int) -> None:
        for index, value in enumerate(self.learner.measure(batch)):
            self._measured[index] += value

    def on_validation_epoch_end(self) -> None:
        loss, tokens = summed(self._measured, self.device)
        self.log("validation/loss", loss / tokens if tokens else math.nan, prog_bar=True)

    # The parts of a step.

    def _learn(self, traces: Sequence[Trace]) -> dict[str, float]:
        """One step from traces of all ranks, of which each takes its share."""
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        lr = self.learning.lr_at(self._updates, self.total_updates)
        for group in optimizer.param_groups:
            group["lr"] = lr
        own = traces[rank() :: ranks()]
        taught = self.learner.learn(own, self.learning, optimizer, self._updates)
        if taught.set_aside:
            ids = ", ".join(trace.problem_id for trace in traces)
            rank_zero_warn(
                f"the loss was not finite on traces of {visible_line(ids)}: nothing was learnt from them "
                "and training goes on."
            )
        self._updates += 1
        return {
            "train/loss": taught.loss,
            "lr": lr,
            "grad_norm": taught.grad_norm,
            "traces": float(taught.traces),
            "completion_tokens": float(taught.completion_tokens),
            "tokens": float(taught.tokens),
            "tokens_per_second": taught.tokens / taught.seconds,
            "seconds": taught.seconds,
            "peak_memory_bytes": peak_memory_bytes(self.device),
            "updates_set_aside": float(taught.set_aside),
        }

    @property
    def total_updates(self) -> int:
        """Optimizer steps of the whole run, known from its start on.

        Raises:
            UserError: neither epochs nor steps are limited.
        """
        trainer = self.trainer
        limits = [trainer.max_steps] if trainer.max_steps > 0 else []
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            limits.append(trainer.max_epochs * math.ceil(trainer.num_training_batches / self.accumulation))
        if not limits:
            raise UserError(
                "trainer.max_epochs is -1 and max_steps too: say how long to train (the paper: 3 epochs)."
            )
        return min(limits)

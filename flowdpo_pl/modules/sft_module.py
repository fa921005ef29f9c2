"""Supervised fine-tuning on traces: what Compile learns with, and what makes a warm start."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities import rank_zero_warn

from flowdpo_pl.distributed import broadcast, gathered, interleaved, rank, ranks, summed
from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.supervised_learner import SupervisedLearner, SupervisedLearning
from flowdpo_pl.measure.memory import peak_memory_bytes
from flowdpo_pl.model.agents import Agents
from flowdpo_pl.model.base import BaseModel, end_token_ids, fingerprint
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.model.output_head import OutputHead
from flowdpo_pl.modules.adapter_strategy import refuse_wrapping
from flowdpo_pl.modules.trace_data_module import TraceDataModule
from flowdpo_pl.play.prompts import AgentPrompt, PromptBook
from flowdpo_pl.play.team import require_same_identity
from flowdpo_pl.results.traces import Trace
from flowdpo_pl.types import ANSWER


class SFTModule(LightningModule):
    """One adapter on the frozen base learns to write traces; the loss is on the traces alone.

    An optimizer step takes the mean over all completion tokens of its traces, which are those of
    `accumulation` batches, of all ranks: two batches of 8 are one of 16, exactly.
    """

    def __init__(
        self,
        base: BaseModel,
        prompt: AgentPrompt,
        lora: LoraSettings = LoraSettings(r=16, alpha=16),
        learning: SupervisedLearning = SupervisedLearning(),
        accumulation: int = 2,
        update_tokens: int = 4096,
        activation_checkpointing: bool = False,
        cpu_threads: int | None = None,
        seed: int = 0,
    ) -> None:
        """
        Args:
            base: the frozen model.
            prompt: what the model reads before it writes; the same as `answer`'s in a flow.
            lora: shape of the adapter (paper: r 16, alpha 16, dropout 0.05).
            learning: how it learns.
            accumulation: batches whose traces make one optimizer step.
            update_tokens: packed tokens through the model at once; less memory, same result.
            activation_checkpointing: recompute activations in the update (less memory, a third slower).
            cpu_threads: threads of torch on a CPU; null: one a core. Tiny models are fastest on 1.
            seed: of dropout and of the adapter's start; linked to `seed_everything`.
        """
        super().__init__()
        self.automatic_optimization = False
        self.strict_loading = False
        if accumulation < 1:
            raise UserError(f"model.accumulation is {accumulation}: give at least 1 batch.")
        if prompt.options or "{partial}" in prompt.user:
            raise UserError(
                "model.prompt is one of an agent that reads {partial} or chooses: "
                "give the prompt of the agent that writes, with {question} alone."
            )
        self.base_settings = base
        self.prompt = prompt
        self.lora = lora
        self.learning = learning
        self.accumulation = accumulation
        self.update_tokens = update_tokens
        self.activation_checkpointing = activation_checkpointing
        self.cpu_threads = cpu_threads
        self.seed = seed
        self._waiting: list[Trace] = []
        """This rank's traces of the batches since the last optimizer step."""
        self._updates = 0
        self._measured = [0.0, 0.0]
        """Summed validation loss of this rank, and its completion tokens."""
        self._learner: SupervisedLearner | None = None

    @property
    def learner(self) -> SupervisedLearner:
        """The loaded model with its adapter; loads it when first asked."""
        self.configure_model()
        assert self._learner is not None
        return self._learner

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint of this module belongs to."""
        return {
            "base": fingerprint(self.learner.agents.base),
            "lora": asdict(self.lora),
            "prompts": self.learner.prompts.identity(),
        }

    @property
    def context_limit(self) -> int:
        """Longest trace with its question, in tokens."""
        return self.learner.agents.context_limit

    def tokens_of(self, trace: Trace) -> int:
        """Length of the trace with its question; the data module asks."""
        sequence = self.learner.sequence(trace)
        return len(sequence.before) + len(sequence.move)

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter in PEFT's format to `folder`, which does not exist yet."""
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".", suffix=".partial") as scratch:
            self.learner.agents.save(Path(scratch))
            (Path(scratch) / ANSWER).rename(folder)

    # What Lightning asks for.

    def configure_model(self) -> None:
        if self._learner is not None:
            return
        if self.cpu_threads is not None:
            torch.set_num_threads(self.cpu_threads)
        model, tokenizer = self.base_settings.load()
        prompts = PromptBook({ANSWER: self.prompt}, tokenizer, end_token_ids(model, tokenizer))
        self.agents = Agents(model, [ANSWER], self.lora, self.seed, self.activation_checkpointing)
        head = OutputHead(
            self.agents.head_weight, self.agents.head_bias, self.agents.head_softcap, prompts.end_ids
        )
        self._learner = SupervisedLearner(
            self.agents, ANSWER, head, prompts, Draws(self.seed), self.manual_backward, self.update_tokens
        )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.agents.parameters_of(ANSWER), lr=self.learning.lr)

    def on_fit_start(self) -> None:
        refuse_wrapping(self.trainer.strategy)
        broadcast(self.agents.parameters_of(ANSWER))

    def training_step(self, batch: Sequence[Trace], batch_idx: int) -> dict[str, float] | None:
        """Keeps the batch until there are `accumulation` of them, or the epoch ends; then learns."""
        self._waiting.extend(batch)
        if isinstance(datamodule := getattr(self.trainer, "datamodule", None), TraceDataModule):
            datamodule.mark_consumed()
        if (batch_idx + 1) % self.accumulation and not self.trainer.is_last_batch:
            return None
        values = self._learn(self._waiting)
        self._waiting = []
        for logger in self.trainer.loggers:  # a row an optimizer step; Lightning would write one a batch
            logger.log_metrics(values, self._updates)
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
        self.log("step", float(self._updates))  # Lightning's own would count batches

    # Checkpoints hold the adapter, optimizer and what waits for the next step, never the base.

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        return dict(self.learner.agents.adapter_state())

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        self.learner.agents.load_adapter_state(dict(state_dict))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["sft"] = {
            "identity": self.identity,
            "seed": self.seed,
            "updates": self._updates,
            "waiting": interleaved(gathered([asdict(trace) for trace in self._waiting])),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint.get("sft")
        if saved is None:
            raise UserError("the checkpoint is not one of SFT: give one that `fit` with SFTModule wrote.")
        require_same_identity(saved["identity"], self.identity)
        self._updates = saved["updates"]
        self._waiting = [Trace(**values) for values in saved["waiting"][rank() :: ranks()]]

    # The parts of a step.

    def _learn(self, traces: Sequence[Trace]) -> dict[str, float]:
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        lr = self.learning.lr_at(self._updates, self._total_updates())
        for group in optimizer.param_groups:
            group["lr"] = lr
        taught = self.learner.learn(traces, self.learning, optimizer, self._updates)
        if taught.set_aside:
            rank_zero_warn(
                f"the loss was not finite on traces of {', '.join(trace.problem_id for trace in traces)}: "
                "nothing was learnt from them and training goes on."
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

    def _total_updates(self) -> int:
        """Optimizer steps of the whole run."""
        trainer = self.trainer
        limits = [trainer.max_steps] if trainer.max_steps > 0 else []
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            limits.append(trainer.max_epochs * math.ceil(trainer.num_training_batches / self.accumulation))
        if not limits:
            raise UserError(
                "trainer.max_epochs is -1 and max_steps too: say how long to train (the paper: 3 epochs)."
            )
        return min(limits)

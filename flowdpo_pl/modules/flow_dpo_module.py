"""Online Flow-DPO: play, mine, learn, one batch after another (arXiv 2410.22304, section 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn

from flowdpo_pl.distributed import broadcast, gathered, interleaved, summed
from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import UserError
from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.learn.preference_learner import Learning, PreferenceLearner, averaged
from flowdpo_pl.measure.chooser_confusion import ChooserConfusion
from flowdpo_pl.measure.chooser_questions import chooser_questions, partial_answer
from flowdpo_pl.measure.memory import peak_memory_bytes
from flowdpo_pl.measure.progressive_accuracy import ProgressiveAccuracy
from flowdpo_pl.measure.tree_statistics import tree_statistics
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings
from flowdpo_pl.modules.adapter_strategy import refuse_wrapping
from flowdpo_pl.modules.prompt_data_module import PromptDataModule
from flowdpo_pl.play.engines.native import NativeEngine
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.exploration import Exploration, NodeAlternatives
from flowdpo_pl.play.flow import AnswerStopFlow, Flow
from flowdpo_pl.play.prompts import AgentPrompt
from flowdpo_pl.play.rollouts import Play, Rollouts
from flowdpo_pl.play.team import Team, require_same_identity
from flowdpo_pl.types import Agent, PreferencePair, Problem, RolloutTree
from flowdpo_pl.verify.verifier import MathVerifier


@dataclass(frozen=True)
class Budget:
    """How much goes through the model at once; out of memory halves it, and no draw depends on it."""

    decode_tokens: int = 65_536
    """Cached tokens (rows times length) of one decoding micro-batch."""
    update_tokens: int = 4096
    """Packed tokens of one scoring micro-batch; a tree is never split."""


class FlowDPOModule(LightningModule):
    """Both agents, the frozen reference, the rollouts and the preference loss.

    `training_step` plays a batch with today's agents, mines pairs where the endings differ, and updates
    each agent; `validation_step` only plays. Both return plain numbers for the callbacks.
    """

    def __init__(
        self,
        base: BaseModel,
        prompts: dict[str, AgentPrompt],
        flow: Flow = AnswerStopFlow(),
        lora: LoraSettings = LoraSettings(),
        learning: Learning = Learning(),
        agent_learning: dict[str, Learning] | None = None,
        sampling: Sampling = Sampling(),
        exploration: Exploration = NodeAlternatives(),
        budget: Budget = Budget(),
        verifier: MathVerifier | None = None,
        frozen: Sequence[str] = (),
        pairs_per_update: int | None = None,
        max_problems: int | None = None,
        max_generated_tokens: int | None = None,
        window: int = 160,
        activation_checkpointing: bool = False,
        compile_decoding: bool = False,
        initial_adapters: dict[str, str] | None = None,
        reference: Literal["base", "initial"] = "base",
        cpu_threads: int | None = None,
        seed: int = 0,
    ) -> None:
        """
        Args:
            base: the frozen model that both agents and the reference share.
            prompts: each agent's prompt, by agent (`answer`, `stop`).
            flow: the rules: whose turn, when over.
            lora: shape of every agent's adapter.
            learning: how the agents learn.
            agent_learning: how single agents learn instead, by agent (whole, not only what differs).
            sampling: the distribution that agents play from.
            exploration: what is played beside the main chain, to be compared with it.
            budget: how much goes through the model at once.
            verifier: judges answers; default: one worker process.
            frozen: agents that play but do not learn; their pairs are only counted.
            pairs_per_update: pairs of an optimizer step; null: all of a batch of problems in one.
            max_problems: stop after this many problems; null: when the data end.
            max_generated_tokens: stop after the batch that reaches this many tokens of play; null: never.
            window: problems in the windowed accuracy.
            activation_checkpointing: recompute activations in the update (less memory, a third slower).
            compile_decoding: compile the decoder for play; for GPUs, where it takes a minute at the start.
            initial_adapters: folders of adapters in PEFT's format that agents start from, by agent.
            reference: what agents are compared with: the base, or a frozen copy of the initial adapters.
            cpu_threads: threads of torch on a CPU; null: one a core. Tiny models are fastest on 1.
            seed: of every draw and of the adapters' start; linked to `seed_everything`.
        """
        super().__init__()
        self.automatic_optimization = False
        self.strict_loading = False
        self.base_settings = base
        self.prompt_settings = prompts
        self.flow = flow
        self.lora = lora
        self.learning: dict[Agent, Learning] = {
            a: (agent_learning or {}).get(a, learning) for a in flow.agents
        }
        if unknown := sorted(set(agent_learning or {}) - set(flow.agents)):
            raise UserError(
                f"model.agent_learning names '{unknown[0]}', but the flow's agents are {list(flow.agents)}."
            )
        self.learners = tuple(agent for agent in flow.agents if agent not in frozen)
        """The agents that learn."""
        if unknown := sorted(set(frozen) - set(flow.agents)):
            raise UserError(
                f"model.frozen names '{unknown[0]}', but the flow's agents are {list(flow.agents)}."
            )
        if not self.learners:
            raise UserError(f"model.frozen names all of {list(flow.agents)}: leave one agent to learn.")
        for name, value in (
            ("pairs_per_update", pairs_per_update),
            ("max_generated_tokens", max_generated_tokens),
        ):
            if value is not None and value < 1:
                raise UserError(f"model.{name} is {value}: give at least 1, or null.")
        self.sampling = sampling
        self.exploration = exploration
        self.budget = budget
        self.verifier = verifier or MathVerifier()
        self.pairs_per_update = pairs_per_update
        self.activation_checkpointing = activation_checkpointing
        self.compile_decoding = compile_decoding
        self.initial_adapters = initial_adapters
        self.reference = reference
        self.cpu_threads = cpu_threads
        self.seed = seed
        self.draws = Draws(seed)
        self._max_problems = max_problems
        self.max_generated_tokens = max_generated_tokens
        self.trees: tuple[RolloutTree, ...] = ()
        self.set_aside: list[dict[str, Any]] = []
        # fed with all ranks' outcomes in stream order, so never synchronised again
        self.accuracy = ProgressiveAccuracy(window, sync_on_compute=False)
        self.validation_accuracy = ProgressiveAccuracy(window, sync_on_compute=False)
        self.chooser_confusion = ChooserConfusion()
        self._seen = {"train": 0, "validation": 0}
        self._generated_tokens = 0
        self._updates = 0
        self._team: Team | None = None

    @property
    def problems_seen(self) -> int:
        """Position in the stream of the running verb, over all ranks."""
        return self._seen["validation" if self._validating else "train"]

    @property
    def max_problems(self) -> int | None:
        """Position at which training ends; None for `validate`, which plays its whole stream."""
        return None if self._validating else self._max_problems

    @property
    def _validating(self) -> bool:
        return self._trainer is not None and self.trainer.state.fn == TrainerFn.VALIDATING

    @property
    def team(self) -> Team:
        """The loaded agents with their prompts and rules; loads them when first asked."""
        self.configure_model()
        assert self._team is not None
        return self._team

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint of this module belongs to."""
        return self.team.identity()

    @cached_property
    def rollouts(self) -> Rollouts:
        team = self.team
        engine = NativeEngine(team.agents, team.head, self.draws, self.sampling, self.budget.decode_tokens)
        return Rollouts(self.flow, team.prompts, engine, self.verifier, self.draws)

    @cached_property
    def learner(self) -> PreferenceLearner:
        team = self.team
        return PreferenceLearner(
            team.agents, team.head, team.prompts, self.draws, self.manual_backward, self.budget.update_tokens
        )

    def admit(self, problem: Problem) -> str | None:
        """Why a problem can't be played, or None; the data module asks."""
        return self.team.admit(problem)

    def save_adapters(self, directory: Path) -> None:
        """Write every agent's adapter in PEFT's format to `<directory>/<agent>/`."""
        self.team.agents.save(directory)

    # What Lightning asks for.

    def configure_model(self) -> None:
        if self._team is not None:
            return
        if self.cpu_threads is not None:
            torch.set_num_threads(self.cpu_threads)
        self._team = Team.assemble(
            self.base_settings,
            self.lora,
            self.flow,
            self.prompt_settings,
            self.seed,
            self.activation_checkpointing,
            self.compile_decoding,
            self.initial_adapters,
            self.reference,
        )
        self.agents = self._team.agents

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            {"params": self.agents.parameters_of(agent), "lr": self.learning[agent].lr, "agent": agent}
            for agent in self.learners
        )

    def on_fit_start(self) -> None:
        refuse_wrapping(self.trainer.strategy)
        broadcast(parameter for agent in self.flow.agents for parameter in self.agents.parameters_of(agent))

    def on_train_batch_start(self, batch: Sequence[Problem], batch_idx: int) -> int | None:
        """-1 ends the epoch: a resumed run may have seen all its problems already."""
        return -1 if self._done else None

    @property
    def _done(self) -> bool:
        """Whether training has had its problems or its tokens."""
        return any(
            limit is not None and spent >= limit
            for spent, limit in (
                (self._seen["train"], self._max_problems),
                (self._generated_tokens, self.max_generated_tokens),
            )
        )

    def training_step(self, batch: Sequence[Problem], batch_idx: int) -> dict[str, float]:
        play = self.rollouts.play(batch, self.exploration)
        self.chooser_confusion.reset()
        values = self._played(play, self.accuracy, "train")
        self._generated_tokens += int(values["generated_tokens"])
        pairs = mine(play.trees)
        learnt = {agent: self._learn(agent, pairs.of(agent), batch) for agent in self.learners}
        for agent, numbers in learnt.items():
            values |= {f"{agent}/{name}": value for name, value in numbers.items()}
        values["seconds/score"] = sum(numbers["score_seconds"] for numbers in learnt.values())
        values["seconds/update"] = sum(numbers["update_seconds"] for numbers in learnt.values())
        values["peak_memory_bytes"] = peak_memory_bytes(self.device)
        if isinstance(datamodule := getattr(self.trainer, "datamodule", None), PromptDataModule):
            datamodule.mark_consumed(list(batch))
        if self._done:
            self.trainer.should_stop = True
        self.log_dict(values, batch_size=max(1, len(batch)))
        return values

    def on_train_epoch_end(self) -> None:
        self.trainer.should_stop = True  # no problem is seen twice: the stream is the whole run

    def on_validation_epoch_start(self) -> None:
        self._seen["validation"] = 0
        self.validation_accuracy.reset()
        self.chooser_confusion.reset()

    def validation_step(self, batch: Sequence[Problem], batch_idx: int) -> dict[str, float]:
        play = self.rollouts.play(batch)
        values = self._played(play, self.validation_accuracy, "validation")
        values["seconds/score"] = values["seconds/update"] = 0.0
        values["peak_memory_bytes"] = peak_memory_bytes(self.device)
        return values

    def on_validation_epoch_end(self) -> None:
        measured = {**self.validation_accuracy.compute(), **self.chooser_confusion.compute()}
        self.log_dict({f"validation/{name}": value.float() for name, value in measured.items()})

    # Checkpoints hold adapters, optimizer, cursor and measures, never the base.

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        return dict(self.team.agents.adapter_state())

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        self.team.agents.load_adapter_state(dict(state_dict))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["flowdpo"] = {
            "identity": self.identity,
            "seed": self.seed,
            "problems_seen": self._seen["train"],
            "generated_tokens": self._generated_tokens,
            "updates": self._updates,
            "accuracy": self.accuracy.state_dict(),
            "set_aside": self.set_aside,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint.get("flowdpo")
        if saved is None:
            raise UserError(
                "the checkpoint is not one of Flow-DPO: give one that `fit` with FlowDPOModule wrote."
            )
        require_same_identity(saved["identity"], self.identity)
        self._seen["train"] = saved["problems_seen"]
        self._generated_tokens = saved["generated_tokens"]
        self._updates = saved["updates"]
        self.accuracy.load_state_dict(saved["accuracy"])
        self.set_aside = saved["set_aside"]

    # The parts of a step.

    def _played(self, play: Play, accuracy: ProgressiveAccuracy, stream: str) -> dict[str, float]:
        """Count a play; the batch's numbers and the running accuracy."""
        self.trees = play.trees
        outcomes = interleaved(gathered([tree.main.correct for tree in play.trees]))
        seeds = interleaved(gathered([tree.problem.seed_question or tree.problem.id for tree in play.trees]))
        groups = torch.tensor([seeds.index(seed) for seed in seeds])
        accuracy.update(torch.tensor(outcomes), groups)
        self._seen[stream] += len(outcomes)
        judge = partial(partial_answer, self.verifier)
        self.chooser_confusion.update(
            [chooser_questions(tree, judge, self.team.prompts.text) for tree in play.trees]
        )
        statistics = tree_statistics(play.trees)
        counted = [name for name in statistics if name.endswith("/pairs") or "/ties/" in name]
        totals = summed([statistics[name] for name in counted], self.device)
        statistics |= dict(zip(counted, totals, strict=True))
        tokens, trees = summed([play.generated_tokens, len(play.trees)], self.device)
        values = {
            **{name: float(value) for name, value in accuracy.compute().items()},
            **{name: float(value) for name, value in self.chooser_confusion.compute().items()},
            **statistics,
            "problems": trees,
            "problems_seen": float(self._seen[stream]),
            "generated_tokens": tokens,
            "generated_tokens_per_second": tokens / play.seconds if play.seconds else 0.0,
            "choice_mass": play.choice_mass,
            "seconds/play": play.seconds,
        }
        return values

    def _learn(
        self, agent: Agent, pairs: Sequence[PreferencePair], batch: Sequence[Problem]
    ) -> dict[str, float]:
        """Update one agent from its pairs, in one optimizer step or in several of `pairs_per_update`."""
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        everywhere = int(summed([len(pairs)], self.device)[0])
        steps = max(1, math.ceil(everywhere / self.pairs_per_update)) if self.pairs_per_update else 1
        learnt = []
        for step in range(steps):
            part = pairs[len(pairs) * step // steps : len(pairs) * (step + 1) // steps]
            learnt.append(self.learner.learn(agent, part, self.learning[agent], optimizer, self._updates))
            self._updates += 1
            if learnt[-1].set_aside:
                self._set_aside(agent, part, batch)
        return averaged(learnt)

    def _set_aside(self, agent: Agent, pairs: Sequence[PreferencePair], batch: Sequence[Problem]) -> None:
        ids = sorted({pair.problem.id for pair in pairs}) or sorted(problem.id for problem in batch)
        self.set_aside.append({"agent": agent, "problems_seen": self._seen["train"], "problems": ids})
        rank_zero_warn(
            f"the loss of agent '{agent}' was not finite on problems {', '.join(ids)}: they are set aside, "
            "nothing was learnt from them and training goes on."
        )

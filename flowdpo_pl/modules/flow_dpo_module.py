"""Online Flow-DPO: play, mine, learn, one batch after another (arXiv 2410.22304, section 3)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from flowdpo_pl.distributed import gathered, summed, whole_batch
from flowdpo_pl.errors import LIMIT, MARGIN, UserError, require_within
from flowdpo_pl.learn.learner import Learner, Learning, averaged
from flowdpo_pl.learn.packing import Lesson
from flowdpo_pl.learn.rescoring import Rescoring
from flowdpo_pl.learn.update_steps import update_steps
from flowdpo_pl.learn.who_learns import learners, learning_by_agent
from flowdpo_pl.measure.chooser_confusion import ChooserConfusion
from flowdpo_pl.measure.fixed_accuracy import FixedAccuracy
from flowdpo_pl.measure.memory import peak_memory_bytes
from flowdpo_pl.measure.progressive_accuracy import ProgressiveAccuracy
from flowdpo_pl.modules.adapter_module import AdapterModule
from flowdpo_pl.modules.given_problems import GivenProblems, fewest
from flowdpo_pl.modules.run_length import Limits, require_data_s_end, stopped_by_trainer
from flowdpo_pl.modules.start_check import Found, Level, Start, look
from flowdpo_pl.plan.demand import Demand
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.exploration import Exploration, NodeAlternatives, require_alternatives
from flowdpo_pl.play.rollouts import Rollouts
from flowdpo_pl.play.team import Team
from flowdpo_pl.results.provenance import MEND_CHECKPOINT, require_same
from flowdpo_pl.results.run_folder import run_folder_of
from flowdpo_pl.results.stream_numbers import StreamNumbers
from flowdpo_pl.types import Agent, Problem, RolloutTree
from flowdpo_pl.verify.chosen import chosen_verifier
from flowdpo_pl.verify.verifier import Verifier
from flowdpo_pl.visible import visible_line


class FlowDPOModule(AdapterModule):
    """All agents, the frozen reference, the rollouts and the preference loss.

    `training_step` plays a batch with today's agents, mines pairs where the endings differ, and updates
    each agent; `validation_step` only plays. Both return plain numbers for the callbacks.
    """

    reads = Problem
    axis = "problems_seen"

    def __init__(
        self,
        team: Team,
        learning: Learning = Learning(),
        agent_learning: dict[str, Learning] | None = None,
        frozen: Sequence[str] = (),
        pairs_per_update: int | None = None,
        sampling: Sampling = Sampling(),
        exploration: Exploration = NodeAlternatives(),
        verifier: Verifier | str | None = None,
        score_margin: float = 0.0,
        max_problems: int | None = None,
        max_generated_tokens: int | None = None,
        window: int = 160,
        check: bool = True,
        seed: int = 0,
    ) -> None:
        """
        Args:
            team: who plays: base, prompts, flow, adapters, and how the machine is used.
            learning: how the agents learn.
            agent_learning: how single agents learn instead, by agent (whole, not only what differs).
            frozen: agents that play their adapter but do not learn; their pairs are only counted.
            pairs_per_update: pairs of an optimizer step; null: all of a batch of problems in one.
            sampling: the distribution that agents play from.
            exploration: what is played beside the main chain, to be compared with it.
            verifier: judges answers: a class such as flowdpo_pl.MathVerifier (the default, with one worker
                process), or the dotted name of a function of the prediction and the gold answer.
            score_margin: two moves are a pair where the scores of their endings differ by more than this; for
                verifiers that give more than right and wrong.
            max_problems: stop after this many problems, those of further passes included; null: when the
                data end.
            max_generated_tokens: stop after the batch that reaches this many tokens of play; null: never.
            window: problems in the windowed accuracy.
            check: look at the start of `fit` whether updates, verifier, problems and disk are as they ought.
            seed: of every draw and of the adapters' start; linked to `seed_everything`.
        """
        by_agent = learning_by_agent(team.flow, learning, agent_learning or {})
        learns = learners(team, frozen)
        require_within(LIMIT, {"model.pairs_per_update": pairs_per_update})
        require_within(LIMIT, {"model.max_problems": max_problems})
        require_within(LIMIT, {"model.max_generated_tokens": max_generated_tokens})
        require_within(MARGIN, {"model.score_margin": score_margin})
        exploration.require_fits(team.flow)
        for agent in learns:
            by_agent[agent].loss.require_fits(exploration, sampling, pairs_per_update, score_margin)
        limits = Limits(max_problems, max_generated_tokens)
        judge = chosen_verifier("model.verifier", verifier)
        super().__init__(team, seed)
        self.learning = by_agent
        self.learners = learns
        """The agents that learn."""
        self.pairs_per_update = pairs_per_update
        self.sampling = sampling
        self.exploration = exploration
        self.verifier = judge
        self.score_margin = score_margin
        self._limits = limits
        self._check = check
        self.trees: tuple[RolloutTree, ...] = ()
        """Of the latest batch, of all ranks, in the order of the stream."""
        self.set_aside: list[dict[str, Any]] = []
        self.accuracy = ProgressiveAccuracy(window)
        self.validation_accuracy = FixedAccuracy(window)
        self.chooser_confusion = ChooserConfusion()
        self._train = StreamNumbers(self.accuracy, self.chooser_confusion, judge, score_margin)
        self._validation = StreamNumbers(
            self.validation_accuracy, self.chooser_confusion, judge, score_margin
        )
        self._generated_tokens = 0
        self._updates = 0

    @property
    def problems_seen(self) -> int:
        """Position in the stream of the running verb, over all ranks."""
        return (self._validation if self._validating else self._train).seen

    @property
    def position(self) -> int:
        """Problems learnt from."""
        return self._train.seen

    @property
    def problems_expected(self) -> int | None:
        """Position at which the running verb ends at the latest; None if nobody knows."""
        if self._validating:
            given = self._given("validation")
            return fewest(given.expected, given.within(self.trainer.limit_val_batches))
        return fewest(self._given("train").expected, self._limits.max_problems)

    @property
    def ended_by(self) -> str:
        """What has ended the running verb: a setting's name, or `data`."""
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return "fast_dev_run"
        if self._validating:
            return "data" if self._given("validation").ended else "limit_val_batches"
        if reached := self._limit_reached:
            return reached
        return "data" if self._given("train").ended else stopped_by_trainer(self.trainer)

    @property
    def _limit_reached(self) -> str | None:
        """The module's own limit that has ended training, if one has."""
        return self._limits.reached(self._train.seen, self._generated_tokens)

    def _given(self, source: str) -> GivenProblems:
        return GivenProblems.of(self._trainer, source)

    @property
    def _validating(self) -> bool:
        return self._trainer is not None and self.trainer.state.fn == TrainerFn.VALIDATING

    @cached_property
    def rollouts(self) -> Rollouts:
        """Of validation, and of training's first pass."""
        return self.players.rollouts(self.sampling, self.verifier, self.draws)

    def _rollouts_of(self, number: int) -> Rollouts:
        """Of a pass over the problems, from 1: a problem that comes again has new draws."""
        if number == 1:
            return self.rollouts
        return self.players.rollouts(self.sampling, self.verifier, self.draws.of_pass(number))

    @cached_property
    def learner(self) -> Learner:
        tokens = self.team.budget.update_tokens
        return Learner(self.players, self.draws, self.manual_backward, tokens)

    @cached_property
    def rescoring(self) -> Rescoring:
        return Rescoring(self.players, self.sampling, self.learner.update)

    def admit(self, problem: Problem) -> str | None:
        """Why a problem can't be played, or None; the data module asks."""
        return self.players.admit(problem)

    def reads_gold(self, gold: str) -> bool:
        """Whether the verifier can judge by a gold answer; the data module asks."""
        return self.verifier.reads_gold(gold)

    def look(self, problems: Sequence[Problem], folder: Path | None) -> Iterator[Found]:
        """What the probes of a start say (`start_check`); nothing is changed, nothing drawn.

        Args:
            problems: the first ones.
            folder: where the run writes; None if it writes nothing.
        """
        as_reference = [agent for agent in self.learners if self.team.start.is_reference(agent)]
        data = self._given("train").data
        stream = data.streams.get("train") if data is not None else None
        at_reference = as_reference if self._updates == 0 else []
        return look(Start(self.players, self.learners, at_reference, self.verifier, problems, stream, folder))

    def sample(self, problems: Sequence[Problem]) -> dict[str, float]:
        """The numbers of these problems played as training would play them; nothing is learnt."""
        play = self.rollouts.play(problems, self.exploration)
        unread = self._given("train").unreadable_gold_rate
        return self._train.add(play, whole_batch(play.trees), self.players, unread).flat()

    def demand(self) -> Demand:
        agents = self.team.adapted
        starts = self.team.start.frozen(agents)
        most = self._limits.max_problems
        objectives = {agent: self.learning[agent].loss for agent in self.learners}
        return Demand(agents, self.learners, objectives, starts, self.exploration, most_problems=most)

    def save_adapters(self, directory: Path) -> None:
        """Write every agent's adapter in PEFT's format to `<directory>/<agent>/`."""
        self.players.agents.save(directory)

    def saved(self) -> dict[str, Any]:
        return {
            "problems_seen": self._train.seen,
            "generated_tokens": self._generated_tokens,
            "updates": self._updates,
            "accuracy": self.accuracy.state_dict(),
            "set_aside": self.set_aside,
            "verifier": self.verifier.identity(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        if not self._validating:  # which may judge as it likes
            then, now = ({"model.verifier": judge} for judge in (saved["verifier"], self.verifier.identity()))
            require_same("the checkpoint", then, now, MEND_CHECKPOINT)
        self._train.seen = saved["problems_seen"]
        self._generated_tokens = saved["generated_tokens"]
        self._updates = saved["updates"]
        self.accuracy.load_state_dict(saved["accuracy"])
        self.set_aside = saved["set_aside"]

    # What Lightning asks for.

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            require_alternatives(self.sampling.temperature)
            require_data_s_end(self.trainer)

    def on_fit_start(self) -> None:
        """Here rather than at the first batch: by then an earlier run's files may have been replaced.

        Raises:
            UserError: what the run rests on does not hold (`start_check`).
        """
        super().on_fit_start()
        data = self._given("train").data
        if not self._check or data is None:
            return
        files = not self.trainer.fast_dev_run  # type: ignore[attr-defined]
        folder = run_folder_of(self.trainer.loggers, self.trainer.default_root_dir) if files else None
        first = next(data.streams["train"].batches())
        for found in self.look(first, folder):
            if found.level is Level.WRONG:
                raise UserError(f"{found.sentence}.")
            if found.level is Level.DOUBTFUL:
                rank_zero_info(f"check: {found.sentence}.")

    def on_train_start(self) -> None:
        super().on_train_start()
        given = self._given("train")
        if given.data is not None and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            seen, passes = self._train.seen, given.data.passes
            rank_zero_info(self._limits.outlook(self.trainer, seen, passes, given.expected))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            {"params": self.agents.parameters_of(agent), "lr": self.learning[agent].lr, "agent": agent}
            for agent in self.learners
        )

    def on_train_batch_start(self, batch: Sequence[Problem], batch_idx: int) -> int | None:
        """-1 ends the epoch: a resumed run may have seen all its problems already."""
        return -1 if self._limit_reached else None

    def training_step(self, batch: Sequence[Problem], batch_idx: int) -> dict[str, float]:
        given = self._given("train")
        self.at_boundary = True
        play = self._rollouts_of(given.pass_number).play(batch, self.exploration)
        gaps = self.rescoring.gaps(play.trees, self.score_margin)
        trees = whole_batch(play.trees)
        self.at_boundary = False
        self.trees = trees
        unread, number = given.unreadable_gold_rate, given.pass_number
        played = self._train.add(play, trees, self.players, unread, number)
        self._generated_tokens += int(played.generated_tokens)
        learnt = {agent: self._learn(agent, play.trees, batch) for agent in self.learners}
        values = played.with_learning(learnt, peak_memory_bytes(self.device)).flat()
        values |= {f"{agent}/engine_gap": gap for agent, gap in gaps.items()}
        if given.data is not None:
            given.data.mark_consumed(list(batch))
        if self._limit_reached:
            self.trainer.should_stop = True
        self.log_dict(values, logger=False, batch_size=max(1, len(batch)))
        self.log_row(values)
        return values

    # The hooks of callbacks come before those of the module: what is played is on disk by then.

    def on_train_batch_end(self, *_: Any) -> None:
        self._require_judged(self._train, "train")

    def on_train_epoch_end(self) -> None:
        self._require_judged(self._train, "train", ended=True)
        self.trainer.should_stop = True  # no problem is seen twice: the stream is the whole run

    def on_validation_start(self) -> None:
        if self._validating:
            rank_zero_info(f"validate: {self._who_plays}")

    @property
    def _who_plays(self) -> str:
        """In `validate`: without a checkpoint, what a run has learnt is nowhere in it."""
        if self._train.seen:
            return f"the agents after {self._train.seen:,} problems of training"
        if self.team.start.adapters:
            return "the agents of model.team.start.adapters"
        return "the untrained agents; --ckpt_path=last takes those that this run has trained"

    def on_validation_epoch_start(self) -> None:
        self._validation.restart()

    def validation_step(self, batch: Sequence[Problem], batch_idx: int) -> dict[str, float]:
        play = self.rollouts.play(batch)
        self.trees = whole_batch(play.trees)
        golds = self._given("validation").unreadable_gold_rate
        return self._validation.add(play, self.trees, self.players, golds).flat()

    def on_validation_batch_end(self, *_: Any) -> None:
        self._require_judged(self._validation, "validation")

    def on_validation_epoch_end(self) -> None:
        accuracy = self.validation_accuracy.compute()
        measured = {name: float(accuracy[name]) for name in ("problems", "accuracy", "low", "high")}
        measured |= self._validation.over_all(self._given("validation").unreadable_gold_rate)
        self.log_dict({f"validation/{name}": value for name, value in measured.items()})
        self._require_judged(self._validation, "validation", ended=True)

    # The parts of a step.

    def _require_judged(self, numbers: StreamNumbers, source: str, ended: bool = False) -> None:
        chunk = self._given(source).first_chunk(otherwise=self.accuracy.window)
        numbers.first_chunk.require_judged(chunk, ended)

    def _learn(
        self, agent: Agent, trees: Sequence[RolloutTree], batch: Sequence[Problem]
    ) -> dict[str, float]:
        """Update one agent from its lessons, in one optimizer step, in several of `pairs_per_update`, or in
        several on the same lessons.
        """
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        learning = self.learning[agent]
        lessons = [one for one in learning.loss.mine(trees, self.score_margin) if one.agent == agent]
        learnt = []
        for part in update_steps(lessons, batch, self.pairs_per_update):
            started, several = time.perf_counter(), learning.loss.passes > 1
            before = self.learner.before(agent, part) if several else None
            seconds = time.perf_counter() - started
            for _ in range(learning.loss.passes):
                update = self.learner.learn(
                    agent, part, learning, optimizer, self._updates, len(batch), before
                )
                learnt.append(replace(update, score_seconds=update.score_seconds + seconds))
                self._updates, seconds = self._updates + 1, 0.0
                if learnt[-1].set_aside:
                    self._set_aside(agent, part)
        counts = learning.loss.counts(trees, agent)
        added = dict(zip(counts, summed([*counts.values()], self.device), strict=True)) if counts else {}
        return {**averaged(learnt), **added}

    def _set_aside(self, agent: Agent, lessons: Sequence[Lesson]) -> None:
        """Remember the problems of all ranks' lessons in a step."""
        ids = sorted({name for own in gathered([one.problem.id for one in lessons]) for name in own})
        self.set_aside.append({"agent": agent, "problems_seen": self._train.seen, "problems": ids})
        rank_zero_warn(
            f"the loss of agent '{agent}' was not finite on problems {visible_line(', '.join(ids))}: "
            "they are set aside, nothing was learnt from them and training goes on."
        )

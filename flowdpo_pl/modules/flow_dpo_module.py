"""Online Flow-DPO: play, mine, learn, one batch after another (arXiv 2410.22304, section 3)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from flowdpo_pl.data.questions import question_key
from flowdpo_pl.distributed import gathered, interleaved, summed
from flowdpo_pl.errors import LIMIT, UserError, require_within
from flowdpo_pl.learn.pairs import mine
from flowdpo_pl.learn.preference_learner import Learning, PreferenceLearner, averaged
from flowdpo_pl.measure.chooser_confusion import ChooserConfusion, chooser_rates
from flowdpo_pl.measure.chooser_questions import chooser_questions, partial_answer
from flowdpo_pl.measure.fixed_accuracy import FixedAccuracy
from flowdpo_pl.measure.judging import FirstChunk, judgements, judging_counts, judging_rates
from flowdpo_pl.measure.memory import peak_memory_bytes
from flowdpo_pl.measure.progressive_accuracy import ProgressiveAccuracy
from flowdpo_pl.measure.tree_statistics import tree_statistics
from flowdpo_pl.modules.adapter_module import AdapterModule
from flowdpo_pl.modules.prompt_data_module import PromptDataModule
from flowdpo_pl.modules.run_length import has_timer, outlook, require_data_s_end, stopped_by_trainer
from flowdpo_pl.plan.demand import Demand
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.exploration import Exploration, NodeAlternatives
from flowdpo_pl.play.rollouts import Play, Rollouts
from flowdpo_pl.play.team import Team
from flowdpo_pl.results.batch_numbers import BatchNumbers, is_summed
from flowdpo_pl.results.provenance import MEND_CHECKPOINT, require_same
from flowdpo_pl.types import Agent, PreferencePair, Problem, RolloutTree
from flowdpo_pl.verify.verifier import MathVerifier
from flowdpo_pl.visible import visible_line


class FlowDPOModule(AdapterModule):
    """All agents, the frozen reference, the rollouts and the preference loss.

    `training_step` plays a batch with today's agents, mines pairs where the endings differ, and updates
    each agent; `validation_step` only plays. Both return plain numbers for the callbacks.
    """

    reads = Problem

    def __init__(
        self,
        team: Team,
        learning: Learning = Learning(),
        agent_learning: dict[str, Learning] | None = None,
        frozen: Sequence[str] = (),
        pairs_per_update: int | None = None,
        sampling: Sampling = Sampling(),
        exploration: Exploration = NodeAlternatives(),
        verifier: MathVerifier | None = None,
        max_problems: int | None = None,
        max_generated_tokens: int | None = None,
        window: int = 160,
        seed: int = 0,
    ) -> None:
        """
        Args:
            team: who plays: base, prompts, flow, adapters, and how the machine is used.
            learning: how the agents learn.
            agent_learning: how single agents learn instead, by agent (whole, not only what differs).
            frozen: agents that play but do not learn; their pairs are only counted.
            pairs_per_update: pairs of an optimizer step; null: all of a batch of problems in one.
            sampling: the distribution that agents play from.
            exploration: what is played beside the main chain, to be compared with it.
            verifier: judges answers; default: one worker process.
            max_problems: stop after this many problems, those of further passes included; null: when the
                data end.
            max_generated_tokens: stop after the batch that reaches this many tokens of play; null: never.
            window: problems in the windowed accuracy.
            seed: of every draw and of the adapters' start; linked to `seed_everything`.
        """
        agents = team.flow.agents
        team.flow.require_known("model.agent_learning", agent_learning or {})
        team.flow.require_known("model.frozen", frozen)
        if set(frozen) == set(agents):
            raise UserError(f"model.frozen names all of {list(agents)}: leave one agent to learn.")
        require_within(LIMIT, {"model.pairs_per_update": pairs_per_update})
        require_within(LIMIT, {"model.max_problems": max_problems})
        require_within(LIMIT, {"model.max_generated_tokens": max_generated_tokens})
        super().__init__(team, seed)
        self.learning: dict[Agent, Learning] = {a: (agent_learning or {}).get(a, learning) for a in agents}
        self.learners = tuple(agent for agent in agents if agent not in frozen)
        """The agents that learn."""
        self.pairs_per_update = pairs_per_update
        self.sampling = sampling
        self.exploration = exploration
        self.verifier = verifier or MathVerifier()
        self._max_problems = max_problems
        self.max_generated_tokens = max_generated_tokens
        self.trees: tuple[RolloutTree, ...] = ()
        self.set_aside: list[dict[str, Any]] = []
        self.accuracy = ProgressiveAccuracy(window)
        self.validation_accuracy = FixedAccuracy(window)
        self.chooser_confusion = ChooserConfusion()
        self._seen = {"train": 0, "validation": 0}
        self._first_chunk = {"train": FirstChunk(), "validation": FirstChunk()}
        self._judging = Counter[str]()  # of the running validation, like the next
        self._choices: dict[str, float] = {}
        self._generated_tokens = 0
        self._updates = 0

    @property
    def problems_seen(self) -> int:
        """Position in the stream of the running verb, over all ranks."""
        return self._seen[self._source]

    @property
    def position(self) -> int:
        """Problems learnt from."""
        return self._seen["train"]

    @property
    def problems_expected(self) -> int | None:
        """Position at which the running verb ends at the latest; None if nobody knows."""
        in_data = self._data.problems_expected(self._source) if self._data is not None else None
        limits = [in_data, self._most_validated if self._validating else self._max_problems]
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def _most_validated(self) -> int | None:
        """Problems in as many batches as the trainer validates on at most."""
        batches, data = self.trainer.limit_val_batches, self._data
        return batches * data.batch_size if data is not None and isinstance(batches, int) else None

    @property
    def ended_by(self) -> str:
        """What has ended the running verb: a setting's name, or `data`."""
        reached = [] if self._validating else [name for name, spent, most in self._limits if spent >= most]
        if reached:
            return reached[0]
        if self._data is None or self._data.ended(self._source):
            return "data"
        return "limit_val_batches" if self._validating else stopped_by_trainer(self.trainer)

    @property
    def _limits(self) -> list[tuple[str, int, int]]:
        """The module's own limits of a training, each with what is spent of it."""
        limits = (
            ("max_problems", self._seen["train"], self._max_problems),
            ("max_generated_tokens", self._generated_tokens, self.max_generated_tokens),
        )
        return [(name, spent, most) for name, spent, most in limits if most is not None]

    @property
    def _source(self) -> str:
        """What the running verb plays."""
        return "validation" if self._validating else "train"

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
    def learner(self) -> PreferenceLearner:
        tokens = self.team.budget.update_tokens
        return PreferenceLearner(self.players, self.draws, self.manual_backward, tokens)

    def admit(self, problem: Problem) -> str | None:
        """Why a problem can't be played, or None; the data module asks."""
        return self.players.admit(problem)

    def demand(self) -> Demand:
        agents = self.team.flow.agents
        starts = len(agents) if self.team.start.reference == "initial" else 0
        return Demand(agents, self.learners, starts, self.exploration, most_problems=self._max_problems)

    def save_adapters(self, directory: Path) -> None:
        """Write every agent's adapter in PEFT's format to `<directory>/<agent>/`."""
        self.players.agents.save(directory)

    def saved(self) -> dict[str, Any]:
        return {
            "problems_seen": self._seen["train"],
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
        self._seen["train"] = saved["problems_seen"]
        self._generated_tokens = saved["generated_tokens"]
        self._updates = saved["updates"]
        self.accuracy.load_state_dict(saved["accuracy"])
        self.set_aside = saved["set_aside"]

    # What Lightning asks for.

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.sampling.temperature == 0:
            raise UserError(
                "model.sampling.temperature is 0, where no move has an alternative and nothing is learnt: "
                "give `fit` more than 0."
            )
        if stage == "fit":
            require_data_s_end(self.trainer)

    def on_train_start(self) -> None:
        super().on_train_start()
        if self._data is None:
            return
        limits = {} if self._max_problems is None else {"model.max_problems": self._max_problems}
        tokens = [] if self.max_generated_tokens is None else ["model.max_generated_tokens"]
        time = ["trainer.max_time"] if has_timer(self.trainer) else []
        passes = f"{self._data.passes} passes over " if self._data.passes > 1 else ""
        in_data = self._data.problems_expected("train")
        seen = self._seen["train"]
        rank_zero_info(outlook("fit", seen, f"{passes}data.train", in_data, limits, [*tokens, *time]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            {"params": self.agents.parameters_of(agent), "lr": self.learning[agent].lr, "agent": agent}
            for agent in self.learners
        )

    def on_train_batch_start(self, batch: Sequence[Problem], batch_idx: int) -> int | None:
        """-1 ends the epoch: a resumed run may have seen all its problems already."""
        return -1 if self._done else None

    @property
    def _done(self) -> bool:
        """Whether training has had its problems or its tokens."""
        return any(spent >= most for _, spent, most in self._limits)

    def training_step(self, batch: Sequence[Problem], batch_idx: int) -> dict[str, float]:
        number = self._data.pass_number if self._data is not None else 1
        self.at_boundary = True
        play = self._rollouts_of(number).play(batch, self.exploration)
        self.at_boundary = False
        played = self._played(play, self.accuracy, "train", number)
        self._generated_tokens += int(played.generated_tokens)
        pairs = mine(play.trees)
        learnt = {agent: self._learn(agent, pairs.of(agent), batch) for agent in self.learners}
        values = replace(
            played,
            learning={f"{agent}/{name}": learnt[agent][name] for agent in learnt for name in learnt[agent]},
            seconds={
                "seconds/play": play.seconds,
                "seconds/score": sum(numbers["score_seconds"] for numbers in learnt.values()),
                "seconds/update": sum(numbers["update_seconds"] for numbers in learnt.values()),
            },
            peak_memory_bytes=peak_memory_bytes(self.device),
        ).flat()
        if self._data is not None:
            self._data.mark_consumed(list(batch))
        if self._done:
            self.trainer.should_stop = True
        self.log_dict(values, logger=False, batch_size=max(1, len(batch)))
        self.log_row(values)
        return values

    # The hooks of callbacks come before those of the module: what is played is on disk by then.

    def on_train_batch_end(self, *_: Any) -> None:
        self._first_chunk["train"].require_judged(self._chunk_size)

    def on_train_epoch_end(self) -> None:
        self._first_chunk["train"].require_judged(self._chunk_size, ended=True)
        self.trainer.should_stop = True  # no problem is seen twice: the stream is the whole run

    def on_validation_epoch_start(self) -> None:
        self._seen["validation"] = 0
        self._first_chunk["validation"] = FirstChunk()
        self._judging.clear()
        self._choices.clear()
        self.validation_accuracy.reset()

    def validation_step(self, batch: Sequence[Problem], batch_idx: int) -> dict[str, float]:
        play = self.rollouts.play(batch)
        return self._played(play, self.validation_accuracy, "validation").flat()

    def on_validation_batch_end(self, *_: Any) -> None:
        self._first_chunk["validation"].require_judged(self._chunk_size)

    def on_validation_epoch_end(self) -> None:
        accuracy = self.validation_accuracy.compute()
        measured = {name: float(accuracy[name]) for name in ("problems", "accuracy", "low", "high")}
        if self._choices:
            measured |= self._choices | chooser_rates(self._choices)
        if self._judging:
            measured |= self._unjudged(self._judging, "validation")
        self.log_dict({f"validation/{name}": value for name, value in measured.items()})
        self._first_chunk["validation"].require_judged(self._chunk_size, ended=True)

    # The parts of a step.

    @property
    def _data(self) -> PromptDataModule | None:
        data = getattr(self._trainer, "datamodule", None)
        return data if isinstance(data, PromptDataModule) else None

    @property
    def _chunk_size(self) -> int:
        """Problems after which it is looked at how many answers could be judged."""
        return self._data.chunk_size if self._data is not None else self.accuracy.window

    def _unjudged(self, judging: Mapping[str, int], stream: str) -> dict[str, float]:
        """The shares of answers without a verdict, and of problems without a gold answer."""
        golds = self._data.unreadable_gold_rate(stream) if self._data is not None else float("nan")
        return {**judging_rates(**judging), "unreadable_gold_rate": golds}

    def _played(
        self, play: Play, accuracy: ProgressiveAccuracy, stream: str, number: int = 1
    ) -> BatchNumbers:
        """Count a play; the batch's numbers as far as playing goes, and the running accuracy.

        The running accuracy is of problems that no update has seen: of pass 1, whatever the `number`.
        """
        self.trees = play.trees
        outcomes = interleaved(gathered([tree.main.correct for tree in play.trees]))
        seeds = interleaved(gathered([_seed(tree.problem) for tree in play.trees]))
        groups = torch.tensor([seeds.index(seed) for seed in seeds])
        if number == 1:
            accuracy.update(torch.tensor(outcomes), groups)
        self._seen[stream] += len(outcomes)
        judge, text_of = partial(partial_answer, self.verifier), self.players.prompts.text
        closes = self.team.flow.closes
        questions = [chooser_questions(tree, closes, judge, text_of) for tree in play.trees]
        self.chooser_confusion.reset()
        self.chooser_confusion.update(questions)
        judged = interleaved(gathered([judgements(tree) for tree in play.trees]))
        answers = [answer for of_tree in judged for answer in of_tree]
        self._first_chunk[stream].add(answers)
        judging = judging_counts(answer.error for answer in answers)
        self._judging.update(judging)
        choices = {name: float(value) for name, value in self.chooser_confusion.compute().items()}
        counted = {name: value for name, value in choices.items() if is_summed(name)}
        for name, value in counted.items():
            self._choices[name] = self._choices.get(name, 0.0) + value
        statistics = tree_statistics(play.trees, self.team.flow.agents)
        nodes = {name: value for name, value in statistics.items() if is_summed(name)}
        totals = summed(list(nodes.values()), self.device)
        tokens, trees = summed([play.generated_tokens, len(play.trees)], self.device)
        return BatchNumbers(
            accuracy={name: float(value) for name, value in accuracy.compute().items()},
            again={} if number == 1 else {"again/accuracy": sum(outcomes) / len(outcomes)},
            data_pass=float(number),
            chooser=counted,
            chooser_rates=chooser_rates(choices),
            nodes=dict(zip(nodes, totals, strict=True)),
            judging={name: float(number) for name, number in judging.items()},
            unjudged=self._unjudged(judging, stream),
            trees={name: value for name, value in statistics.items() if name not in nodes},
            problems=trees,
            problems_seen=float(self._seen[stream]),
            generated_tokens=tokens,
            generated_tokens_per_second=tokens / play.seconds if play.seconds else 0.0,
            choice_mass=play.choice_mass,
            seconds={"seconds/play": play.seconds, "seconds/score": 0.0, "seconds/update": 0.0},
            peak_memory_bytes=peak_memory_bytes(self.device),
        )

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
            f"the loss of agent '{agent}' was not finite on problems {visible_line(', '.join(ids))}: "
            "they are set aside, nothing was learnt from them and training goes on."
        )


def _seed(problem: Problem) -> str:
    """What the problem shares with the rewrites of its question."""
    return question_key(problem.seed_question) if problem.seed_question else problem.id

"""Inference alone: the accuracy of a base, an adapter or a flow (`test`), and its traces (`predict`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule

from flowdpo_pl.distributed import gathered, interleaved
from flowdpo_pl.draws import Draws
from flowdpo_pl.errors import UserError
from flowdpo_pl.measure.chooser_questions import chooser_questions, partial_answer
from flowdpo_pl.model.base import BaseModel
from flowdpo_pl.model.lora import LoraSettings, adapter_fingerprint
from flowdpo_pl.modules.prompt_data_module import PromptDataModule
from flowdpo_pl.play.engines.native import NativeEngine
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.flow import AnswerStopFlow, Flow
from flowdpo_pl.play.prompts import AgentPrompt
from flowdpo_pl.play.rollouts import Play, Rollouts
from flowdpo_pl.play.team import Team
from flowdpo_pl.results.collected_traces import CollectedTraces
from flowdpo_pl.results.judged_answers import JudgedAnswers
from flowdpo_pl.results.predictions import Prediction, accuracies
from flowdpo_pl.results.traces import Trace
from flowdpo_pl.types import Agent, Problem, RolloutTree, Trajectory, answer_tokens
from flowdpo_pl.verify.verifier import MathVerifier


class EvaluationModule(LightningModule):
    """Plays main chains only. `test` judges `samples` answers a problem; `predict` tries until one is right.

    Answers are a function of the seed, the problem and the number of the sample; sample 0 has the draws of
    `validate`. Nothing is written here: `callbacks.PredictionLog` and `callbacks.TraceLog` do that.
    """

    def __init__(
        self,
        base: BaseModel,
        prompts: dict[str, AgentPrompt],
        flow: Flow = AnswerStopFlow(),
        adapters: dict[str, str] | None = None,
        sampling: Sampling = Sampling(temperature=0.0),
        samples: int = 1,
        max_generated_tokens: int | None = None,
        source: str = "",
        verifier: MathVerifier | None = None,
        decode_tokens: int = 65_536,
        cpu_threads: int | None = None,
        seed: int = 0,
    ) -> None:
        """
        Args:
            base: the frozen model.
            prompts: each agent's prompt, by agent (`answer`, `stop`).
            flow: the rules; `flowdpo_pl.SingleFlow` plays one model that writes in one go.
            adapters: folders of adapters in PEFT's format, by agent; agents not named play the base.
            sampling: the distribution that agents play from; greedy unless set.
            samples: answers a problem in `test`; in `predict` attempts at most, until one is right.
            max_generated_tokens: `predict` begins no further batch once it has generated so many tokens,
                those of the run that it resumes included; null: no bound.
            source: name of the arm that the traces are for.
            verifier: judges answers; default: one worker process.
            decode_tokens: cached tokens (rows times length) of one decoding micro-batch; out of memory
                halves it, and no draw depends on it.
            cpu_threads: threads of torch on a CPU; null: one a core.
            seed: of every draw; linked to `seed_everything`.
        """
        super().__init__()
        if samples < 1:
            raise UserError(f"model.samples is {samples}: give at least 1.")
        if samples > 1 and sampling.temperature == 0:
            raise UserError(
                f"model.samples is {samples}, but at model.sampling.temperature 0 all are the same: "
                "set a temperature above 0, or one sample."
            )
        if max_generated_tokens is not None and max_generated_tokens < 1:
            raise UserError(
                f"model.max_generated_tokens is {max_generated_tokens}: give at least 1, or null."
            )
        if unknown := sorted(set(adapters or {}) - set(flow.agents)):
            raise UserError(
                f"model.adapters names '{unknown[0]}', but the flow's agents are {list(flow.agents)}."
            )
        self.base_settings = base
        self.prompt_settings = prompts
        self.flow = flow
        self.adapters: dict[Agent, Path] = {agent: Path(folder) for agent, folder in (adapters or {}).items()}
        self.lora = _common_shape(self.adapters)
        self.sampling = sampling
        self.samples = samples
        self.max_generated_tokens = max_generated_tokens
        self.source = source
        self.verifier = verifier or MathVerifier()
        self.decode_tokens = decode_tokens
        self.cpu_threads = cpu_threads
        self.seed = seed
        self.draws = Draws(seed)
        self.judged = JudgedAnswers()
        """Of `test`."""
        self.collected = CollectedTraces(max_generated_tokens)
        """Of `predict`."""
        self.seconds = 0.0
        """Of play, in this run."""
        self._verb = ""
        self._team: Team | None = None

    @property
    def team(self) -> Team:
        """The loaded agents with their prompts and rules; loads them when first asked."""
        self.configure_model()
        assert self._team is not None
        return self._team

    @cached_property
    def made_by(self) -> dict[str, Any]:
        """What the answers are a function of, besides the problems; JSON-able."""
        identity = self.team.identity()
        values = {
            "base": {**asdict(self.base_settings), "fingerprint": identity["base"]},
            "adapters": {agent: adapter_fingerprint(folder) for agent, folder in self.adapters.items()},
            "flow": identity["flow"],
            "prompts": identity["prompts"],
            "sampling": asdict(self.sampling),
            "samples": self.samples,
            "verifier": type(self.verifier).__name__,
            "seed": self.seed,
        }
        known: dict[str, Any] = json.loads(json.dumps(values))
        return known

    def admit(self, problem: Problem) -> str | None:
        """Why a problem can't be played, or None; the data module asks."""
        return self.team.admit(problem)

    # What callbacks ask.

    @property
    def results(self) -> JudgedAnswers | CollectedTraces:
        """Of the running verb, so far; all ranks hold the same."""
        return self.collected if self._verb == "predict" else self.judged

    @property
    def problems_expected(self) -> int | None:
        """At most so many will come; None if nobody knows."""
        data = self._data
        return data.streams[self._verb].total if data is not None and self._verb in data.streams else None

    def resume_from(self, path: Path) -> None:
        """Take the results of an interrupted run as done.

        Raises:
            UserError: they were made in another way, or the file is of another form.
        """
        self.results.resume_from(path, self.made_by)

    def summary(self) -> dict[str, Any]:
        """The result so far as plain values: what the callbacks write to `summary.json`."""
        return {
            **self.results.summary(),
            "skipped": dict(self._data.skipped) if self._data is not None else {},
            "generated_tokens": self.results.generated_tokens,
            "seconds": self.seconds,
            "made_by": self.made_by,
        }

    # What Lightning asks for.

    def setup(self, stage: str) -> None:
        self._verb = stage
        self.judged, self.collected = JudgedAnswers(), CollectedTraces(self.max_generated_tokens)
        self.seconds = 0.0

    def configure_model(self) -> None:
        if self._team is not None:
            return
        if self.cpu_threads is not None:
            torch.set_num_threads(self.cpu_threads)
        self._team = Team.assemble(self.base_settings, self.lora, self.flow, self.prompt_settings, self.seed)
        for agent, folder in self.adapters.items():
            self._team.agents.load_saved(agent, folder)
        self.agents = self._team.agents

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        raise UserError(
            "EvaluationModule takes adapters, not a checkpoint: leave --ckpt_path out and set "
            "model.adapters.answer and the like to the run's adapters/last/answer, adapters/last/stop."
        )

    def test_step(self, batch: Sequence[Problem], batch_idx: int) -> dict[str, list[str]]:
        """`answered`: ids of the problems that were answered now, and not by an interrupted run."""
        new = [problem for problem in batch if self.judged.earlier(problem) is None]
        plays = [self._play(new, sample) for sample in range(self.samples)] if new else []
        played = {
            problem.id: [self._prediction(play.trees[place], sample) for sample, play in enumerate(plays)]
            for place, problem in enumerate(new)
        }
        mine = [(p.id in played, played.get(p.id) or self.judged.earlier(p) or []) for p in batch]
        answers = interleaved(gathered(mine))
        self.judged.add([samples for _, samples in answers])
        return {"answered": [samples[0].problem_id for fresh, samples in answers if fresh]}

    def on_test_epoch_end(self) -> None:
        measured = accuracies(self.judged.predictions)
        self.log_dict({f"test/{name}": float(measured[name]) for name in ("accuracy", "low", "high")})
        if "majority" in measured:
            self.log("test/majority_accuracy", measured["majority"]["accuracy"])

    def predict_step(self, batch: Sequence[Problem], batch_idx: int) -> list[str]:
        """Ids of the problems that have a trace now (Lightning takes no frozen dataclasses)."""
        if self.collected.out_of_tokens:
            raise StopIteration  # Lightning's way to end the loop from inside a step
        attempts: dict[str, list[Trajectory]] = {}
        unsolved = [problem for problem in batch if problem.id not in self.collected.traces]
        for sample in range(self.samples):
            if not unsolved:
                break
            trees = self._play(unsolved, sample).trees
            for tree in trees:
                attempts.setdefault(tree.problem.id, []).append(tree.main)
            unsolved = [tree.problem for tree in trees if not tree.main.correct]
        mine = [self._trace(problem, attempts[problem.id]) for problem in batch if problem.id in attempts]
        traces = interleaved(gathered(mine))
        self.collected.add(traces)
        return [trace.problem_id for trace in traces]

    # The parts of a step.

    def _play(self, problems: Sequence[Problem], sample: int) -> Play:
        """Main chains with the draws of one sample."""
        team, draws = self.team, self.draws.of_sample(sample)
        engine = NativeEngine(team.agents, team.head, draws, self.sampling, self.decode_tokens)
        play = Rollouts(self.flow, team.prompts, engine, self.verifier, draws).play(problems)
        self.seconds += play.seconds
        return play

    def _prediction(self, tree: RolloutTree, sample: int) -> Prediction:
        main = tree.main
        written, last = [move for move in main.moves if move.option is None], main.moves[-1]
        return Prediction(
            problem_id=tree.problem.id,
            question=tree.problem.question,
            gold=tree.problem.gold,
            text=main.answer,
            correct=main.correct,
            sample=sample,
            extracted=main.verdict.extracted,
            error=main.verdict.error,
            chunks=len(written),
            tokens=answer_tokens(main.moves),
            cut=last.option is None and last.token_ids[-1] != self.team.prompts.end_ids[0],
            labels=dict(tree.problem.labels),
            chooser_questions=chooser_questions(
                tree, partial(partial_answer, self.verifier), self.team.prompts.text
            ),
        )

    def _trace(self, problem: Problem, attempts: Sequence[Trajectory]) -> Trace:
        last = attempts[-1]
        return Trace(
            problem_id=problem.id,
            question=problem.question,
            gold=problem.gold,
            trace=last.answer,
            correct=last.correct,
            extracted=last.verdict.extracted,
            source=self.source,
            attempts=len(attempts),
            generated_tokens=sum(answer_tokens(attempt.moves) for attempt in attempts),
            made_by=self.made_by,
        )

    @property
    def _data(self) -> PromptDataModule | None:
        data = getattr(self.trainer, "datamodule", None)
        return data if isinstance(data, PromptDataModule) else None


def _common_shape(adapters: dict[Agent, Path]) -> LoraSettings:
    """The shape of all these adapters; without any, that of a smallest one, which does nothing."""
    shapes = {
        agent: replace(LoraSettings.of_saved(folder), dropout=0.0) for agent, folder in adapters.items()
    }
    (first, shape), *others = shapes.items() or [("", LoraSettings(r=1, alpha=1, dropout=0.0))]
    for agent, other in others:
        if other != shape:
            raise UserError(
                f"model.adapters.{first} and model.adapters.{agent} have other shapes ({shape} and {other}): "
                "give adapters of one run."
            )
    return shape

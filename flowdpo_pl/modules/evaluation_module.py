"""Inference alone: the accuracy of a base, an adapter or a flow (`test`), and its traces (`predict`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info

from flowdpo_pl.errors import COUNT, LIMIT, SHARE_OR_NULL, UserError, require_within
from flowdpo_pl.modules.adapter_module import AdapterModule
from flowdpo_pl.modules.given_problems import GivenProblems, fewest
from flowdpo_pl.modules.run_length import outlook
from flowdpo_pl.modules.run_logger import RunLogger
from flowdpo_pl.plan.demand import Demand
from flowdpo_pl.play.engines.sampling import Sampling
from flowdpo_pl.play.exploration import Exploration
from flowdpo_pl.play.main_chains import MainChains
from flowdpo_pl.play.team import Team
from flowdpo_pl.results.collected_traces import CollectedTraces
from flowdpo_pl.results.judged_answers import JudgedAnswers
from flowdpo_pl.types import Problem
from flowdpo_pl.verify.chosen import chosen_verifier
from flowdpo_pl.verify.verifier import Verifier

NO_CHECKPOINT = (
    "EvaluationModule takes adapters, not a checkpoint: leave --ckpt_path out and set "
    "model.team.start.adapters, by agent, to the run's folders such as adapters/last/AGENT."
)


class EvaluationModule(AdapterModule):
    """Plays main chains only. `test` judges `samples` answers a problem; `predict` tries until one is right.

    Answers are a function of the seed, the problem and the number of the sample; sample 0 has the draws of
    `validate`. Nothing is written here: `callbacks.PredictionLog` and `callbacks.TraceLog` do that.
    """

    reads = Problem
    axis = "problems"

    def __init__(
        self,
        team: Team,
        sampling: Sampling = Sampling(temperature=0.0),
        samples: int = 1,
        attempts: int = 1,
        max_generated_tokens: int | None = None,
        source: str = "",
        swapped: Sequence[str] = (),
        verifier: Verifier | str | None = None,
        accept_from: float | None = None,
        seed: int = 0,
    ) -> None:
        """
        Args:
            team: base, prompts, flow, and in `team.start.adapters` what is measured; agents not named there
                play the base. The adapters' shape is read from their folders, not from `team.lora`.
            sampling: the distribution that agents play from; greedy unless set.
            samples: answers a problem in `test`.
            attempts: answers a problem at most in `predict`, until one is right.
            max_generated_tokens: `predict` begins no further batch once it has generated so many tokens,
                those of the run that it resumes included; null: no bound.
            source: name of the arm that the traces are for.
            swapped: agents whose every move goes to another problem of the batch: if the accuracy stays, the
                agent is only decoration.
            verifier: judges answers: a class such as flowdpo_pl.MathVerifier (the default, with one worker
                process), or the dotted name of a function of the prediction and the gold answer.
            accept_from: the score from which on `predict` takes an answer for right; null: where the verifier
                calls it correct.
            seed: of every draw; linked to `seed_everything`.
        """
        require_within(COUNT, {"model.samples": samples, "model.attempts": attempts})
        require_within(LIMIT, {"model.max_generated_tokens": max_generated_tokens})
        team.flow.require_known("model.swapped", swapped)
        require_within(SHARE_OR_NULL, {"model.accept_from": accept_from})
        judge = chosen_verifier("model.verifier", verifier)
        super().__init__(team.shaped_by_start(), seed)
        self.sampling = sampling
        self.verifier = judge
        self._samples = samples
        self._attempts = attempts
        self._max_generated_tokens = max_generated_tokens
        self._accept_from = accept_from
        self._source = source
        self._swapped = tuple(swapped)
        self._verb = ""
        self.results: JudgedAnswers | CollectedTraces = JudgedAnswers(samples)
        """Of the running verb, so far; all ranks hold the same."""

    @cached_property
    def chains(self) -> MainChains:
        """Who plays, and how."""
        return MainChains(self.team, self.players, self.sampling, self.verifier, self.draws, self._swapped)

    def demand(self) -> Demand:
        samples = max(self._samples, self._attempts)
        return Demand(self.team.adapted, (), exploration=Exploration(), samples=samples)

    @property
    def position(self) -> int:
        """Problems answered, those of an interrupted run included."""
        return self.results.problems

    def admit(self, problem: Problem) -> str | None:
        """Why a problem can't be played, or None; the data module asks."""
        return self.players.admit(problem)

    def reads_gold(self, gold: str) -> bool:
        """Whether the verifier can judge by a gold answer; the data module asks."""
        return self.verifier.reads_gold(gold)

    # What callbacks ask.

    def made_by(self) -> dict[str, Any]:
        """What the answers are a function of, besides the problems; JSON-able."""
        return {**self.chains.made_by, **self.results.settings}

    @property
    def problems_expected(self) -> int | None:
        """At most so many will come; None if nobody knows."""
        return fewest(self._given.expected, *self._trainer_limit.values())

    @property
    def ended_by(self) -> str:
        """What has ended the verb: a setting's name, or `data`."""
        if isinstance(self.results, CollectedTraces) and self.results.out_of_tokens:
            return "max_generated_tokens"
        if self._given.ended:
            return "data"
        return f"limit_{self._verb}_batches"

    @property
    def _trainer_limit(self) -> dict[str, int]:
        """Problems in as many batches as the trainer takes at most, by the setting's key."""
        setting = f"limit_{self._verb}_batches"
        problems = self._given.within(getattr(self.trainer, setting))
        return {} if problems is None else {f"trainer.{setting}": problems}

    def _tell_outlook(self) -> None:
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        in_data = self._given.expected
        counts_tokens = self._verb == "predict" and self._max_generated_tokens is not None
        others = ["model.max_generated_tokens"] if counts_tokens else []
        source = f"data.{self._verb}"
        rank_zero_info(outlook(self._verb, 0, source, in_data, self._trainer_limit, others))

    def resume_from(self, path: Path) -> None:
        """Take the results of an interrupted run as done.

        Raises:
            UserError: they were made in another way, or the file is of another form.
        """
        self.results.resume_from(path, self.made_by())

    def summary(self) -> dict[str, Any]:
        """The result so far as plain values: what the callbacks write to `summary.json`."""
        return {
            **self.results.summary(),
            "skipped": dict(self._given.data.skipped) if self._given.data is not None else {},
            "unreadable_gold_rate": self._given.unreadable_gold_rate,
            "generated_tokens": self.results.generated_tokens,
            "seconds": self.results.seconds,
            "ended_by": self.ended_by,
            "made_by": self.made_by(),
        }

    # What Lightning asks for.

    def setup(self, stage: str) -> None:
        """
        Raises:
            UserError: several answers a problem would all be the same, or were asked of the other verb.
        """
        own, other = ("attempts", "samples") if stage == "predict" else ("samples", "attempts")
        numbers = {"samples": self._samples, "attempts": self._attempts}
        if numbers[own] == 1 < numbers[other]:
            raise UserError(f"model.{other} is {numbers[other]}, but `{stage}` counts model.{own}: set that.")
        if numbers[own] > 1 and self.sampling.temperature == 0:
            raise UserError(
                f"model.{own} is {numbers[own]}, but at model.sampling.temperature 0 all are the same: "
                "set a temperature above 0, or 1."
            )
        super().setup(stage)
        self._verb = TrainerFn(stage).value
        if stage == "predict":
            self.results = CollectedTraces(
                self._attempts, self._max_generated_tokens, self._source, self._accept_from
            )
        else:
            self.results = JudgedAnswers(self._samples)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        raise UserError(NO_CHECKPOINT)

    def on_test_start(self) -> None:
        self._begin()

    def on_predict_start(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._tell_outlook()
        for logger in self.trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.go_on(0)  # an interrupted run's row, of the end that it nearly reached

    def test_step(self, batch: Sequence[Problem], batch_idx: int) -> dict[str, list[str]]:
        """`answered`: ids of the problems that were answered now, and not by an interrupted run."""
        return {"answered": self.results.step(batch, self.chains)}

    # The hooks of callbacks come before those of the module: what is answered is on disk by then.

    def on_test_batch_end(self, *_: Any) -> None:
        self._require_judged()

    def on_test_epoch_end(self) -> None:
        assert isinstance(self.results, JudgedAnswers)
        measured = {**self.results.measured(), "unreadable_gold_rate": self._given.unreadable_gold_rate}
        self.log_dict({f"test/{name}": value for name, value in measured.items()})
        self._require_judged(ended=True)

    def predict_step(self, batch: Sequence[Problem], batch_idx: int) -> list[str]:
        """Ids of the problems that have a trace now (Lightning takes no frozen dataclasses)."""
        return self.results.step(batch, self.chains)

    def on_predict_batch_end(self, *_: Any) -> None:
        self._require_judged()

    def on_predict_epoch_end(self) -> None:
        assert isinstance(self.results, CollectedTraces)
        shares = {**self.results.judging(), "unreadable_gold_rate": self._given.unreadable_gold_rate}
        if any(value > 0 for value in shares.values()):
            rank_zero_info(f"predict: {', '.join(f'{name} {value:.3g}' for name, value in shares.items())}")
        self._require_judged(ended=True)

    def _require_judged(self, ended: bool = False) -> None:
        self.results.first_chunk.require_judged(self._given.first_chunk(otherwise=160), ended)

    @property
    def _given(self) -> GivenProblems:
        return GivenProblems.of(self.trainer, self._verb)

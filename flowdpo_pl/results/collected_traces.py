"""The result of `predict` so far: a trace a problem, and what they add up to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowdpo_pl.distributed import gathered, interleaved
from flowdpo_pl.errors import UserError
from flowdpo_pl.measure.judging import FirstChunk, Judgement, judging_counts, judging_rates
from flowdpo_pl.play.main_chains import MainChains
from flowdpo_pl.results.provenance import MEND_FILE, require_same
from flowdpo_pl.results.traces import Trace, read_traces
from flowdpo_pl.types import Problem, Trajectory, Verdict, answer_tokens


class CollectedTraces:
    """Grows by problems; what an interrupted run has collected counts from the start.

    Args:
        attempts: at most so many a problem, until one is right.
        max_generated_tokens: what may be spent, that of the interrupted run included; None: no bound.
        source: name of the arm that the traces are for.
        accept_from: the score from which on an answer is taken for right; None: where the verifier says so.
    """

    def __init__(
        self,
        attempts: int = 1,
        max_generated_tokens: int | None = None,
        source: str = "",
        accept_from: float | None = None,
    ) -> None:
        self._attempts = attempts
        self._accept_from = accept_from
        self.settings = {"attempts": attempts, "accept_from": accept_from}
        """What the traces depend on besides how they are played."""
        self._max_generated_tokens = max_generated_tokens
        self._source = source
        self.seconds = 0.0
        """Of play, in this run."""
        self.first_chunk = FirstChunk()
        """Of what this run tries."""
        self.traces: dict[str, Trace] = {}
        """By problem."""
        self._right = self._tokens = 0  # counted as they come: a bar asks after every batch
        self.resumed = 0
        """Traces that were there before this run."""

    @property
    def problems(self) -> int:
        return len(self.traces)

    @property
    def accuracy(self) -> float:
        """Share of right traces; nan without any."""
        return self._right / len(self.traces) if self.traces else float("nan")

    @property
    def generated_tokens(self) -> int:
        """By all attempts, those of the interrupted run included."""
        return self._tokens

    @property
    def out_of_tokens(self) -> bool:
        limit = self._max_generated_tokens
        return limit is not None and self.generated_tokens >= limit

    def step(self, problems: Sequence[Problem], chains: MainChains) -> list[str]:
        """Try a batch, every rank its share; ids of the problems, of all ranks, that have a trace now.

        Raises:
            StopIteration: the tokens are spent (Lightning's way to end the loop from inside a step).
            UserError: a problem has another question or gold answer than its trace of the interrupted run.
        """
        if self.out_of_tokens:
            raise StopIteration
        for problem in problems:
            self._require_same(problem)
        tried: dict[str, list[Trajectory]] = {}
        unsolved = [problem for problem in problems if problem.id not in self.traces]
        for attempt in range(self._attempts):
            if not unsolved:
                break
            answers = chains.play(unsolved, [attempt])
            self.seconds += answers.seconds
            for problem, (tree,) in zip(unsolved, answers.trees, strict=True):
                tried.setdefault(problem.id, []).append(tree.main)
            unsolved = [p for p in unsolved if not self._accepts(tried[p.id][-1].verdict)]
        made_by = {**chains.made_by, **self.settings}
        prompts = chains.players.prompts
        mine = [
            self._trace(problem, tried[problem.id], made_by, prompts.answer_ids(tried[problem.id][-1].moves))
            for problem in problems
            if problem.id in tried
        ]
        traces = interleaved(gathered(mine))
        self.add(traces)
        judged = [
            Judgement(problem.id, problem.gold, trajectory.verdict.error)
            for problem in problems
            for trajectory in tried.get(problem.id, ())
        ]
        self.first_chunk.add([answer for of_rank in gathered(judged) for answer in of_rank])
        return [trace.problem_id for trace in traces]

    def add(self, traces: Sequence[Trace]) -> None:
        """Add these, each once."""
        self.traces |= {trace.problem_id: trace for trace in traces}
        self._right += sum(trace.correct for trace in traces)
        self._tokens += sum(trace.generated_tokens for trace in traces)

    def resume_from(self, path: Path, made_by: dict[str, Any]) -> None:
        """Take the traces of an earlier run as done.

        Raises:
            UserError: they were made in another way, or the file is no trace file.
        """
        traces = read_traces(path)
        for trace in traces:
            then, now = {"source": trace.source, **trace.made_by}, {"source": self._source, **made_by}
            require_same(str(path), then, now, MEND_FILE)
        self.add(traces)
        self.resumed = len(traces)

    def _require_same(self, problem: Problem) -> None:
        trace = self.traces.get(problem.id)
        if trace is not None and (trace.question, trace.gold) != (problem.question, problem.gold):
            what = "question" if trace.question != problem.question else "gold answer"
            raise UserError(
                f"the trace of problem {problem.id} that an earlier run left was made for another {what}: "
                "restore the data of that run, give the run another folder, or remove the file."
            )

    def summary(self) -> dict[str, Any]:
        """The result as plain values (docs/evaluation.md)."""
        return {
            **self.judging(),
            "problems": self.problems,
            "accepted": self._right,
            "acceptance": self.accuracy if self.traces else None,
            "attempts": sum(trace.attempts for trace in self.traces.values()),
            "resumed": self.resumed,
            "out_of_tokens": self.out_of_tokens,
        }

    def judging(self) -> dict[str, float]:
        """How many of all attempts could not be judged, and which share."""
        counts = {
            "judged_answers": sum(trace.attempts for trace in self.traces.values()),
            "judging_errors": sum(trace.judging_errors for trace in self.traces.values()),
            "judging_timeouts": sum(trace.judging_timeouts for trace in self.traces.values()),
        }
        return {"judging_errors": counts["judging_errors"], **judging_rates(**counts)}

    def _accepts(self, verdict: Verdict) -> bool:
        return verdict.correct if self._accept_from is None else verdict.score >= self._accept_from

    def _trace(
        self,
        problem: Problem,
        tried: Sequence[Trajectory],
        made_by: dict[str, Any],
        token_ids: tuple[int, ...],
    ) -> Trace:
        last = tried[-1]
        judging = judging_counts(trajectory.verdict.error for trajectory in tried)
        return Trace(
            problem_id=problem.id,
            question=problem.question,
            gold=problem.gold,
            trace=last.answer,
            correct=self._accepts(last.verdict),
            score=last.score,
            extracted=last.verdict.extracted,
            source=self._source,
            attempts=len(tried),
            generated_tokens=sum(answer_tokens(trajectory.moves) for trajectory in tried),
            judging_errors=judging["judging_errors"],
            judging_timeouts=judging["judging_timeouts"],
            made_by=made_by,
            token_ids=token_ids,
        )

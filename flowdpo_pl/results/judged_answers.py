"""The result of `test` so far: every problem's samples, on disk while the test is under way.

The file of an unfinished test is JSONL: first `{"made_by": …}`, then a list of `Prediction`s a line, all
samples of one problem, so that a problem is there whole or not at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.distributed import gathered, interleaved
from flowdpo_pl.errors import UserError
from flowdpo_pl.measure.chooser_confusion import ChooserConfusion
from flowdpo_pl.measure.chooser_questions import chooser_questions, partial_answer
from flowdpo_pl.measure.judging import FirstChunk, Judgement, judging_counts, judging_rates
from flowdpo_pl.play.main_chains import MainChains
from flowdpo_pl.results.json_text import json_text
from flowdpo_pl.results.predictions import (
    Prediction,
    accuracies,
    accuracies_by_label,
    prediction_of,
)
from flowdpo_pl.results.provenance import MEND_FILE, require_same
from flowdpo_pl.types import Problem, RolloutTree, answer_tokens


class JudgedAnswers:
    """Grows by problems. An interrupted run's answers count once their problem comes again.

    Args:
        samples: answers a problem.
    """

    def __init__(self, samples: int = 1) -> None:
        self.settings = {"samples": samples}
        """What the answers depend on besides how they are played."""
        self.seconds = 0.0
        """Of play, in this run."""
        self.first_chunk = FirstChunk()
        """Of what this run answers."""
        self._samples: dict[str, list[Prediction]] = {}
        self._rows, self._scores, self._tokens = 0, 0.0, 0  # kept as they come: a bar asks after every batch
        self._earlier: dict[str, list[Prediction]] = {}

    @property
    def predictions(self) -> list[Prediction]:
        """All samples of a problem in turn, problems as they came."""
        return [row for samples in self._samples.values() for row in samples]

    @property
    def problems(self) -> int:
        return len(self._samples)

    @property
    def accuracy(self) -> float:
        """Mean score of the samples; nan without any."""
        return self._scores / self._rows if self._rows else math.nan

    @property
    def generated_tokens(self) -> int:
        return self._tokens

    def of(self, problem_id: str) -> list[Prediction]:
        """All samples of one problem."""
        return self._samples[problem_id]

    def step(self, problems: Sequence[Problem], chains: MainChains) -> list[str]:
        """Answer a batch, every rank its share; ids of the problems, of all ranks, that were answered now."""
        new = [problem for problem in problems if self.earlier(problem) is None]
        answered: dict[str, list[Prediction]] = {}
        if new:
            answers = chains.play(new, range(self.settings["samples"]))
            self.seconds += answers.seconds
            for problem, trees in zip(new, answers.trees, strict=True):
                answered[problem.id] = [prediction(tree, n, chains) for n, tree in enumerate(trees)]
        mine = [(p.id in answered, answered.get(p.id) or self.earlier(p) or []) for p in problems]
        everyones = interleaved(gathered(mine))
        self.add([samples for _, samples in everyones])
        new_rows = [row for fresh, samples in everyones if fresh for row in samples]
        self.first_chunk.add([Judgement(row.problem_id, row.gold, row.error) for row in new_rows])
        return [samples[0].problem_id for fresh, samples in everyones if fresh]

    def earlier(self, problem: Problem) -> list[Prediction] | None:
        """What the interrupted run answered to just this problem, or None."""
        samples = self._earlier.get(problem.id)
        if not samples:
            return None
        first, same = samples[0], (problem.question, problem.gold, dict(problem.labels))
        return samples if (first.question, first.gold, first.labels) == same else None

    def add(self, problems: Sequence[Sequence[Prediction]]) -> None:
        """Add problems, each as all its samples; each once."""
        self._samples |= {samples[0].problem_id: list(samples) for samples in problems}
        rows = [row for samples in problems for row in samples]
        self._rows += len(rows)
        self._scores += math.fsum(row.score for row in rows)
        self._tokens += sum(row.tokens for row in rows)

    def resume_from(self, path: Path, made_by: dict[str, Any]) -> None:
        """Keep what an interrupted run has answered, for when its problems come.

        Raises:
            UserError: it answered in another way, or the file is of another form.
        """
        self._earlier = read_unfinished(path, made_by)

    def summary(self) -> dict[str, Any]:
        """The result as plain values (docs/evaluation.md)."""
        rows = self.predictions
        judging = judging_counts(row.error for row in rows)
        return {
            **accuracies(rows),
            "by_label": accuracies_by_label(rows),
            "chooser": self._chooser(),
            "cut_rate": sum(row.cut for row in rows) / len(rows) if rows else None,
            "chunks_per_answer": sum(row.chunks for row in rows) / len(rows) if rows else None,
            "judging_errors": judging["judging_errors"],
            **judging_rates(**judging),
        }

    def measured(self) -> dict[str, float]:
        """What the trainer logs at the end."""
        values = accuracies(self.predictions)
        measured = {name: float(values[name]) for name in ("accuracy", "low", "high")}
        if "majority" in values:
            measured["majority_accuracy"] = values["majority"]["accuracy"]
        return measured | judging_rates(**judging_counts(row.error for row in self.predictions))

    def _chooser(self) -> dict[str, float]:
        """The chooser's words against what the partial answers held; empty if none was ever asked."""
        questions = [row.chooser_questions for row in self.predictions]
        if not any(questions):
            return {}
        confusion = ChooserConfusion(sync_on_compute=False)  # every rank holds all predictions already
        confusion.update(questions)
        return {name.removeprefix("chooser/"): value.item() for name, value in confusion.compute().items()}


def prediction(tree: RolloutTree, sample: int, chains: MainChains) -> Prediction:
    """A main chain as one attempt at its problem."""
    main, prompts, flow = tree.main, chains.players.prompts, chains.players.flow
    judge = partial(partial_answer, chains.verifier)
    last = main.moves[-1]
    return Prediction(
        problem_id=tree.problem.id,
        question=tree.problem.question,
        gold=tree.problem.gold,
        text=main.answer,
        correct=main.correct,
        score=main.score,
        sample=sample,
        extracted=main.verdict.extracted,
        error=main.verdict.error,
        chunks=sum(move.option is None for move in main.moves),
        tokens=answer_tokens(main.moves),
        cut=last.option is None and not prompts.ended(last),
        labels=dict(tree.problem.labels),
        chooser_questions=chooser_questions(tree, flow.finishes, judge, prompts.answer),
    )


def unfinished_header(made_by: dict[str, Any]) -> str:
    """The first line of an unfinished test, without its line break."""
    return json_text({"made_by": made_by})


def unfinished_line(samples: Sequence[Prediction]) -> str:
    """One problem's line, without its line break."""
    return json_text([asdict(sample) for sample in samples])


def read_unfinished(path: Path, made_by: dict[str, Any]) -> dict[str, list[Prediction]]:
    """All samples of every problem of the file, by problem; nothing if the file has not got its header.

    Raises:
        UserError: the answers were made in another way, or a line is of another form.
    """
    done: dict[str, list[Prediction]] = {}
    for number, line in text_lines(path):
        try:
            if number == 1:
                then = dict(json.loads(line)["made_by"])
            else:
                samples = [prediction_of(values) for values in json.loads(line)]
                done[samples[0].problem_id] = samples
        except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
            raise UserError(
                f"{path}, line {number} is not from an unfinished test ({error!r}): remove the file."
            ) from error
        if number == 1:
            require_same(str(path), then, made_by, MEND_FILE)
    return done

"""Predictions of a `test` as a page shows them.

    ANSWERS  {"number", "id", "question", "gold", "labels", "end": END, "vote": in words,
              "answers": [ANSWER, ..]}
    ANSWER   {"text", "end": END, "chunks", "tokens", "cut", "taken",
              "asked": [[what the text held, finished], ..]}

END is as in `tree_problems`. With several samples `end` is that of the answer which the vote takes.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import ClassVar

from flowdpo_pl.results.predictions import Prediction, by_problem, told, vote
from flowdpo_pl.results.tested import Tested
from flowdpo_pl.types import Problem, Verdict
from flowdpo_pl.view.problems import Json, Shown, ending, problem_data
from flowdpo_pl.visible import visible, visible_line


class AnswerProblems:
    """The problems of a test, each with all its samples.

    Args:
        test: the test.
    """

    kind: ClassVar[str] = "answers"

    def __init__(self, test: Tested) -> None:
        self._samples = by_problem(test.predictions)

    @property
    def count(self) -> int:
        return len(self._samples)

    def read(self, numbers: Container[int]) -> Iterator[Shown]:
        for number, samples in enumerate(self._samples.values(), start=1):
            if number in numbers:
                yield Shown(number, samples[0].problem_id, _data(number, samples))

    def told(self) -> Json:
        return {}


def _data(number: int, samples: list[Prediction]) -> Json:
    first, voted = samples[0], vote(samples)
    problem = Problem(first.problem_id, first.question, first.gold, labels=tuple(first.labels.items()))
    return {
        **problem_data(number, problem),
        "end": ending(_verdict(voted.winner)),
        "vote": visible_line(told(voted, len(samples))) if len(samples) > 1 else "",
        "answers": [_answer(sample, taken=sample is voted.winner) for sample in samples],
    }


def _answer(sample: Prediction, taken: bool) -> Json:
    return {
        "text": visible(sample.text),
        "end": ending(_verdict(sample)),
        "chunks": sample.chunks,
        "tokens": sample.tokens,
        "cut": int(sample.cut),
        "taken": int(taken),
        "asked": [[held, int(finished)] for held, finished in sample.chooser_questions],
    }


def _verdict(sample: Prediction) -> Verdict:
    return Verdict(sample.correct, sample.extracted, sample.error, sample.score)

"""Predictions of a test run: one row a problem and sample, on disk and as accuracies.

A file of predictions holds one JSON object a line, with the fields of `Prediction`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flowdpo_pl.data.json_rows import each_key_once
from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.errors import UserError
from flowdpo_pl.measure.chooser_questions import PARTIAL_ANSWERS, ChooserQuestion
from flowdpo_pl.measure.intervals import wilson
from flowdpo_pl.results.json_text import json_text
from flowdpo_pl.results.typed_values import (
    FLAG,
    LIST,
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    WHOLE,
    require_each,
    require_types,
)
from flowdpo_pl.types import BY_CORRECTNESS, Verdict
from flowdpo_pl.verify.answers import read_answer
from flowdpo_pl.verify.readable import is_readable
from flowdpo_pl.verify.spelling import plain_spelling

_NEEDED = {"problem_id": TEXT, "question": TEXT, "gold": TEXT, "text": TEXT, "correct": FLAG}
_MAY_HAVE = {
    **dict.fromkeys(("sample", "chunks", "tokens"), WHOLE),
    **dict.fromkeys(("extracted", "error"), TEXT_OR_NULL),
    "cut": FLAG,
    "labels": OBJECT,
    "chooser_questions": LIST,
    "score": NUMBER,
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """One attempt at one problem, judged."""

    problem_id: str
    question: str
    gold: str
    text: str
    """The answer, as it was written."""
    correct: bool
    sample: int = 0
    extracted: str | None = None
    """The answer that the verifier read in the text."""
    error: str | None = None
    """Why no judgement was possible (`timeout`, or the exception); such an answer is not correct."""
    chunks: int = 1
    """Moves that wrote the text."""
    tokens: int = 0
    """Tokens of the text, end tokens included."""
    cut: bool = False
    """Whether the text stands at the flow's limit, ended neither by an end token nor by a choice."""
    labels: dict[str, str] = field(default_factory=dict)
    chooser_questions: tuple[ChooserQuestion, ...] = ()
    """What an agent that chooses was asked while the text grew: what it held then (none, wrong, right), and
    whether the agent said finished."""
    score: float = BY_CORRECTNESS
    """How good the answer is, in [0, 1]; left out: 1 if it is correct, else 0."""

    def __post_init__(self) -> None:
        if self.score is BY_CORRECTNESS:
            object.__setattr__(self, "score", 1.0 if self.correct else 0.0)


def prediction_of(values: Any) -> Prediction:
    """The prediction that `asdict` and JSON made these values of.

    Raises:
        TypeError, ValueError: a field is missing, unknown or of another type, or two contradict each other.
    """
    values = require_types(values, _NEEDED, _MAY_HAVE, "the prediction")
    require_each(values.get("labels", {}).values(), TEXT, "the prediction's labels")
    questions = tuple(map(_chooser_question, values.get("chooser_questions", ())))
    found = Prediction(**{**values, "chooser_questions": questions})
    Verdict(found.correct, found.extracted, found.error, found.score)  # refuses what contradicts itself
    return found


def _chooser_question(values: Any) -> ChooserQuestion:
    if type(values) not in LIST or len(values) != 2:
        raise TypeError("chooser_questions hold something else than pairs")
    held, finished = values
    if held not in PARTIAL_ANSWERS or type(finished) is not bool:
        raise ValueError("chooser_questions hold something else than none, wrong or right with true or false")
    return held, finished


def to_line(prediction: Prediction) -> str:
    """The prediction as a line of a JSONL file, newline included."""
    return json_text(asdict(prediction)) + "\n"


def read_predictions(path: Path | str) -> list[Prediction]:
    """All predictions of a file, in order; a `.gz` is unpacked.

    Raises:
        UserError: the file does not exist, is empty or of another format, or holds a sample twice.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist: give the predictions.jsonl of a run of `test`.")
    predictions: list[Prediction] = []
    seen: set[tuple[str, int]] = set()
    for number, line in text_lines(path):
        try:
            prediction = prediction_of(json.loads(line, object_pairs_hook=each_key_once))
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(
                f"{path}, line {number} is no prediction ({error}): give a predictions.jsonl of `test`."
            ) from error
        if (key := (prediction.problem_id, prediction.sample)) in seen:
            raise UserError(f"{path}, line {number} repeats sample {key[1]} of problem {key[0]}.")
        seen.add(key)
        predictions.append(prediction)
    if not predictions:
        raise UserError(f"{path} is empty: give the predictions.jsonl of a run of `test`.")
    return predictions


def by_problem(predictions: Iterable[Prediction]) -> dict[str, list[Prediction]]:
    """The samples of each problem in their order, problems in the order they come."""
    found: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        found.setdefault(prediction.problem_id, []).append(prediction)
    return {name: sorted(samples, key=lambda p: p.sample) for name, samples in found.items()}


@dataclass(frozen=True, slots=True)
class Vote:
    """What the samples of a problem answer together."""

    winner: Prediction
    """The first sample with the answer that most give; of equally frequent answers the first given."""
    votes: int
    """For that answer."""
    of: int
    """Samples that have a vote."""
    tied: tuple[Prediction, ...] = ()
    """The first sample with each other answer that has as many."""


def vote(samples: Sequence[Prediction]) -> Vote:
    """Let the samples of a problem vote.

    Answers are equal if they are the same number in any notation (`1/2`, `0.50`), the same choice, or the
    same text but for case and spaces. A sample in which nothing was read, or no answer ('no idea'), has no
    vote, unless none has: then the texts that were read have one each.
    """
    for vote_of in (_vote, _text_vote):
        given = [(said, sample) for sample in samples if (said := vote_of(sample)) is not None]
        if given:
            counts = Counter(said for said, _ in given)
            first = dict(reversed(given))  # of equal answers the first sample stays
            ranked = counts.most_common()  # of equal counts, the one counted first
            most = ranked[0][1]
            winner, *tied = (first[said] for said, count in ranked if count == most)
            return Vote(winner, most, len(given), tuple(tied))
    return Vote(samples[0], 0, 0)


def told(vote: Vote, samples: int) -> str:
    """A vote in words; ties are said."""
    if not vote.of:
        return f"no answer is read in any of {samples}"
    answer = str(vote.winner.extracted)
    if vote.tied:
        others = ", ".join(str(other.extracted) for other in vote.tied)
        return f"{answer}: a tie with {others}, {vote.votes} of {samples} each; the first given is taken"
    return f"{answer}: {vote.votes} of {samples}"


def majority(samples: Sequence[Prediction]) -> Prediction:
    """The winner of the `vote`."""
    return vote(samples).winner


def accuracies(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Numbers of problems and samples, mean accuracy and, with several samples, that of the majority.

    Keys: `problems`, `samples` (in all), `correct`, `accuracy` (the mean score), `low`, `high` (`wilson`,
    95 %; samples of one problem count as one outcome), and `majority` with `correct`, `accuracy`, `low`,
    `high`.
    """
    groups = by_problem(predictions).values()
    counts: dict[str, Any] = {"problems": len(groups), "samples": len(predictions)}
    counts |= _share(predictions, sum(len(samples) ** 2 for samples in groups))
    if len(predictions) > len(groups):
        counts["majority"] = _share([majority(samples) for samples in groups])
    return counts


def accuracies_by_label(predictions: Sequence[Prediction]) -> dict[str, dict[str, Any]]:
    """`accuracies` of the problems with each value of each label."""
    places: dict[str, dict[str, list[Prediction]]] = {}
    for prediction in predictions:
        for name, value in prediction.labels.items():
            places.setdefault(name, {}).setdefault(value, []).append(prediction)
    return {
        name: {value: accuracies(held) for value, held in sorted(values.items())}
        for name, values in places.items()
    }


def mean_score(predictions: Sequence[Prediction]) -> float:
    """The accuracy; nan without any."""
    return math.fsum(one.score for one in predictions) / len(predictions) if predictions else math.nan


def _share(predictions: Sequence[Prediction], squared_sizes: int | None = None) -> dict[str, Any]:
    scores = [prediction.score for prediction in predictions]
    squares = math.fsum(score * score for score in scores)
    low, high = wilson(math.fsum(scores), len(scores), squared_sizes=squared_sizes, squares=squares)
    accuracy = mean_score(predictions) if predictions else None
    correct = sum(prediction.correct for prediction in predictions)
    return {"correct": correct, "accuracy": accuracy, "low": low, "high": high}


def _vote(prediction: Prediction) -> str | None:
    if prediction.extracted is None:
        return None
    answer = read_answer(prediction.extracted)
    if not is_readable(answer):
        return None
    if answer.value is not None:
        return str(answer.value)
    return answer.choice or "".join(plain_spelling(answer.text).lower().split())


def _text_vote(prediction: Prediction) -> str | None:
    """Answers of words that no mathematics reads: `Marie Curie`."""
    return None if prediction.extracted is None else " ".join(prediction.extracted.lower().split())

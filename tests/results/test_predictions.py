"""Predictions: read back as written, and counted as by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.measure.intervals import wilson
from flowdpo_pl.results.predictions import (
    Prediction,
    accuracies,
    accuracies_by_label,
    by_problem,
    majority,
    read_predictions,
    to_line,
)


def test_a_key_that_a_line_has_twice_is_refused(tmp_path: Path) -> None:
    line = to_line(Prediction("a", "q", "1", "", correct=False))
    (tmp_path / "p.jsonl").write_text(line.replace('"correct"', '"correct": true, "correct"'))
    with pytest.raises(UserError, match=r"line 1 is no prediction \(the key 'correct' is there twice\)"):
        read_predictions(tmp_path / "p.jsonl")


def samples(name: str, gold: str, *answers: str | None, **labels: str) -> list[Prediction]:
    return [
        Prediction(name, "?", gold, "", answer == gold, sample=n, extracted=answer, labels=labels)
        for n, answer in enumerate(answers)
    ]


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        (["5", "4", "4"], "4"),
        (["5", "4"], "5"),  # a tie: the first
        (["7", "1,200", "1200.0"], "1,200"),  # the same number
        (["7", "1/2", "0.5", "0.50"], "1/2"),
        (["7", "-0", "0"], "-0"),
        (["7", "4 3/4", "4.75"], "4 3/4"),
        (["7", "(B)", "B"], "(B)"),
        (["no idea", "no idea", "5"], "5"),
        (["n/a", "n/a", "5"], "5"),
        (["B", " x + 1", "X+1"], " x + 1"),  # the same text
        ([None, None, "3"], "3"),  # nothing read is no vote
        ([None, None], None),
        (["50%", "50"], "50%"),
    ],
)
def test_the_majority_s_answer(answers: list[str | None], winner: str | None) -> None:
    assert majority(samples("p", "0", *answers)).extracted == winner


def test_accuracies_of_a_hand_made_set() -> None:
    rows = [
        *samples("a", "4", "4", "4", "5", level="1"),  # 2 of 3, majority right
        *samples("b", "4", "5", "4", "5", level="2"),  # 1 of 3, majority wrong
        *samples("c", "4", "6", "5", "4", level="2"),  # 1 of 3, a tie: the first, wrong
    ]
    found = accuracies(rows)
    assert (found["problems"], found["samples"], found["correct"]) == (3, 9, 4)
    assert found["accuracy"] == pytest.approx(4 / 9)
    assert (found["low"], found["high"]) == wilson(4 / 3, 3)  # three samples are one outcome
    assert found["majority"]["correct"] == 1 and found["majority"]["accuracy"] == pytest.approx(1 / 3)
    levels = accuracies_by_label(rows)["level"]
    assert levels["1"] == accuracies(rows[:3]) and levels["2"] == accuracies(rows[3:])


def test_one_sample_has_no_majority() -> None:
    assert "majority" not in accuracies(samples("a", "4", "4") + samples("b", "4", "5"))


def test_samples_are_ordered_within_their_problem() -> None:
    first, second = samples("a", "1", "1", "2")
    (other,) = samples("b", "1", "1")
    assert by_problem([second, other, first]) == {"a": [first, second], "b": [other]}


def test_a_file_gives_its_predictions_back(tmp_path: Path) -> None:
    rows = samples("a", "4", "4", None, subject="Algebra")
    (tmp_path / "predictions.jsonl").write_text("".join(map(to_line, rows)))
    assert read_predictions(tmp_path / "predictions.jsonl") == rows


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty"),
        ("{\n", "line 1 is no prediction"),
        ('{"question": "?"}\n', "line 1 is no prediction"),
        ("[1]\n", "line 1 is no prediction"),
        (to_line(samples("a", "1", "1")[0]) * 2, "line 2 repeats sample 0 of problem a"),
    ],
)
def test_another_file_is_refused_with_its_place(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "predictions.jsonl").write_text(content)
    with pytest.raises(UserError, match=told):
        read_predictions(tmp_path / "predictions.jsonl")


def test_answers_of_words_vote_by_their_text() -> None:
    answers = ["Pierre Curie", "Marie Curie", "marie  curie", None]
    assert majority(samples("p", "0", *answers)).extracted == "Marie Curie"
    assert majority(samples("p", "0", "Marie Curie", "Marie Curie", "5")).extracted == "5", (
        "readable ones first"
    )


def test_the_accuracy_of_graded_predictions_is_their_mean_score(tmp_path: Path) -> None:
    scores = (0.0, 0.25, 1.0, 0.5)
    rows = [Prediction(f"p{n}", "?", "1", "", score == 1, score=score) for n, score in enumerate(scores)]
    (tmp_path / "p.jsonl").write_text("".join(map(to_line, rows)))
    assert read_predictions(tmp_path / "p.jsonl") == rows
    found = accuracies(rows)
    assert (found["correct"], found["accuracy"]) == (1, 0.4375)
    assert (found["low"], found["high"]) == wilson(1.75, 4, squares=0.0625 + 1 + 0.25)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"gold": None}, "gold of the prediction is null, not a text"),
        ({"correct": "yes"}, "correct of the prediction is 'yes', not true or false"),
        ({"labels": {"level": 2}}, "the prediction's labels hold 2, not a text"),
        ({"score": float("nan")}, "a verdict's score is nan: give a number from 0 to 1"),
        ({"correct": True, "score": 1, "error": "timeout"}, r"a verdict has an error \(timeout\)"),
        ({"chooser_questions": [5]}, "chooser_questions hold something else than pairs"),
        (
            {"chooser_questions": [["maybe", True]]},
            "chooser_questions hold something else than none, wrong or",
        ),
        ({"tokens": "many"}, "tokens of the prediction is 'many', not a whole number"),
        ({"more": 1}, "unexpected keyword argument 'more'"),
    ],
)
def test_a_value_of_another_type_is_named(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    values = json.loads(to_line(Prediction("a", "q", "1", "", correct=False)))
    (tmp_path / "p.jsonl").write_text(json.dumps({**values, **changed}))
    with pytest.raises(UserError, match=rf"line 1 is no prediction \(.*{told}"):
        read_predictions(tmp_path / "p.jsonl")

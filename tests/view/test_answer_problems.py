from __future__ import annotations

from pathlib import Path

from flowdpo_pl.results.predictions import Prediction, vote
from flowdpo_pl.results.tested import Tested
from flowdpo_pl.view.answer_problems import AnswerProblems


def sample(number: int, extracted: str | None, correct: bool, problem: str = "p") -> Prediction:
    asked = (("none", False), ("right", True))
    return Prediction(
        problem, f"{problem}?", "4", f"so {extracted}\x1b", correct, number, extracted, labels={"level": "2"},
        chunks=2, tokens=7, cut=number == 1, chooser_questions=asked,
    )  # fmt: skip


def test_the_samples_of_a_problem_stand_together_with_what_they_vote() -> None:
    samples = [
        sample(1, "5", False),
        sample(0, "4", True),
        sample(0, None, False, "q"),
        sample(2, "4.0", True),
    ]
    problems = AnswerProblems(Tested(Path("predictions.jsonl"), samples, None))
    assert problems.count == 2
    first, second = problems.read(range(1, 3))
    assert (first.number, first.id, second.number, second.id) == (1, "p", 2, "q")
    answers = first.data["answers"]
    assert [one["text"] for one in answers] == ["so 4\\x1b", "so 5\\x1b", "so 4.0\\x1b"]
    winner = vote([samples[1], samples[0], samples[3]]).winner
    assert [one["taken"] for one in answers] == [
        int(one is winner) for one in (samples[1], samples[0], samples[3])
    ]
    assert first.data["end"] == answers[0]["end"] == [1, 1.0, "4", None]
    assert first.data["vote"] == "4: 2 of 3" and second.data["vote"] == ""
    assert answers[1] | {"text": ""} == {
        "text": "", "end": [0, 0.0, "5", None], "chunks": 2, "tokens": 7, "cut": 1, "taken": 0,
        "asked": [["none", 0], ["right", 1]],
    }  # fmt: skip
    assert second.data["labels"] == ["level: 2"] and second.data["end"] == [0, 0.0, None, None]
    assert [one.number for one in problems.read({2})] == [2]

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from flowdpo_pl.data.questions import canonical, content_id, question_key, same_question
from flowdpo_pl.data.rows import open_rows

SHARED = Path(__file__).parents[3] / "shared" / "data"
QUESTION = "Chloé has 3 boxes. She says: “It\u2019s 5 \u2013 2”. How many boxes are left?"


@pytest.mark.parametrize(
    "other",
    [
        QUESTION.replace(" ", "  "),
        QUESTION.replace(". ", ".\r\n"),
        f"\t{QUESTION}\n",
        QUESTION.replace(" ", "\u00a0"),
        QUESTION.replace(" ", "\u202f", 1),
        QUESTION.upper(),
        unicodedata.normalize("NFD", QUESTION),
        QUESTION.replace("3", "\uff13"),  # full width
        QUESTION.replace("“", '"').replace("”", '"').replace("\u2019", "'").replace("\u2013", "-"),
        QUESTION.replace("5 \u2013 2", "5 \u2212 2"),
        QUESTION.replace("boxes", "bo\u200bxes", 1),
        "\ufeff" + QUESTION,
        QUESTION.removesuffix("?"),
        QUESTION.replace("?", " ?"),
        QUESTION.replace("?", "\uff1f"),
        QUESTION.replace("?", "."),
        QUESTION.replace("boxes.", "boxes ."),
    ],
)  # fmt: skip
def test_what_a_reader_does_not_see_makes_no_other_question(other: str) -> None:
    assert other != QUESTION
    assert same_question(QUESTION, other) and question_key(QUESTION) == question_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 2²?", "What is 22?"),
        ("What is 5!?", "What is 5?"),
        ("What is 1½?", "What is 11/2?"),
        ("What is x₁?", "What is x1?"),
        ("What is 3 - 2?", "What is 32?"),
        ("What is 3.5?", "What is 35?"),
        ("What is -3?", "What is 3?"),
        ("What is 1 2?", "What is 12?"),
        ("How many?", "How many are left?"),
    ],
)
def test_what_a_reader_sees_makes_another_question(one: str, other: str) -> None:
    assert not same_question(one, other) and question_key(one) != question_key(other)


def test_marks_alone_are_a_question_still() -> None:
    assert canonical("?") and not same_question("?", ".") and not same_question("", "?")


def test_a_plain_text_is_its_own_canonical_form() -> None:
    assert canonical("q5") == "q5" and question_key("q5") == content_id("q5")


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data")
@pytest.mark.parametrize(
    "file", ["gsm8k/train.jsonl.gz", "math/train_sample_1500.jsonl.gz", "word_problems/svamp.jsonl"]
)
def test_different_problems_of_real_sets_stay_different(file: str) -> None:
    """Texts with one key differ by what no reader minds, which leaves their gold answers alike."""
    by_key: dict[str, dict[str, object]] = {}
    for chunk in open_rows(str(SHARED / file)).chunks(160, None):
        for row in chunk:
            question = str(row.values["question"]).strip()
            by_key.setdefault(question_key(question), {})[question] = row.values["answer"]
    several = [forms for forms in by_key.values() if len(forms) > 1]
    assert len(several) < 0.01 * len(by_key)
    assert all(len(set(map(str, forms.values()))) == 1 for forms in several), json.dumps(several, indent=1)

import json
from pathlib import Path

import pytest

from flowdpo_pl.verify.markers import extract_marked
from flowdpo_pl.verify.reasoning import LONGEST_TEXT
from flowdpo_pl.verify.values import read_value

FACTS = Path(__file__).parents[3] / "shared" / "data" / "verifier_cases" / "facts_extraction.jsonl"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"So \boxed{42}.", "42"),
        (r"\boxed{\frac{1}{\{2\}}} and no more", r"\frac{1}{\{2\}}"),
        (r"First \boxed{1}, then \boxed{2}", "2"),
        ("2 + 2 = 4\n#### 4", "4"),
        ("#### 1,234", "1,234"),
        ("The answer is 5.", "5"),
        ("the answer is: **3.5**.", "3.5"),
        ("The answer to this question is 12 apples. Well done.", "12 apples"),
        ("Final Answer: The final answer is $24$. I hope it is correct.", "24"),
        ("The final answer is \\(x^2\\).", "x^2"),
        ("**Answer:** 7", "7"),
        ("ANSWER:\n\n7", "7"),
        ("3 + 4 = 7\nA: 7", "7"),
        ("The answer is $18 per day, or $20.", "$18 per day, or $20"),
    ],
)
def test_finds_the_marked_answer(text: str, answer: str) -> None:
    assert extract_marked(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3 + 4 = 7",
        "So there are 7 apples.",
        "The answer is",
        r"\boxed{4",
        r"\boxed{}",
        "What is the answer? 7",
        "#### Step 1: count",
        "#### 1. Count the apples",
        "A: 7\nB: 8\nC: 9",
        "The answer is 7.</think> Let me begin.",
    ],
)
def test_without_a_marker_there_is_no_answer(text: str) -> None:
    assert extract_marked(text) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{5} so the answer is 7", "5"),
        ("The final answer is 5. The answer is 7.", "5"),
        ("The answer is 5. The answer is 7.", "7"),
        ("The answer is 5, which we check.\n#### 7", "7"),
        ("The answer is 5, says he.\nA: 7", "7"),
        (r"\boxed{5} The final answer is positive, as it should be.", "5"),
        ("<think> The answer is 5. </think> The answer is 7.", "7"),
    ],
)
def test_the_strongest_marker_wins_then_the_last(text: str, answer: str) -> None:
    assert extract_marked(text) == answer


@pytest.mark.parametrize(
    ("unit", "answer"),
    [
        ("answer is ", "answer is"),
        ("answer: $", "$"),
        (r"\boxed{", None),
        (r"\boxed{1} ", "1"),
        ("{", None),
        ("#### 1 ", ("#### 1 " * 50_000)[-LONGEST_TEXT + 10 : -1]),  # the rest of its line
        ("A: 1\n", "1"),
        (" ", None),
    ],
)
def test_endless_repetition_is_no_trouble(unit: str, answer: str | None) -> None:
    assert extract_marked(unit * 50_000) == answer  # quadratic work would take minutes


@pytest.mark.skipif(not FACTS.exists(), reason=f"{FACTS} is absent")
def test_agrees_with_the_extractions_of_other_projects() -> None:
    facts = [json.loads(line) for line in FACTS.read_text().splitlines()]
    other_rules = {
        "extraction-054",  # takes the first of two answers
        "extraction-003",  # falls back to the last number
        "extraction-057",  # cuts at a following question
        "extraction-007",  # a letter without a marker
        "extraction-008",
    }
    wrong = []
    for fact in facts:
        marked = extract_marked(fact["text"])
        wanted = fact["extracted"] or None
        if wanted is not None and fact.get("keeps_box"):
            wanted = wanted[wanted.index("{") + 1 : -1]
        same_number = marked and wanted and read_value(marked) == read_value(wanted) is not None
        harmless = {f"{{{wanted}}}", str(wanted).replace("{1}{2}", "12")}  # double braces, \frac12
        if marked != wanted and not same_number and marked not in harmless:
            wrong.append(fact["id"])
    assert set(wrong) <= other_rules

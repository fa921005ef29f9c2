from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from flowdpo_pl.data.gold import AfterMark, Automatic, Boxed, GoldExtractor, HashMarked, Plain
from flowdpo_pl.verify.markers import extract_marked
from flowdpo_pl.verify.math_verifier import MathVerifier

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    ("extractor", "text", "gold"),
    [
        (HashMarked(), "24 + 48 = 72\n#### 72", "72"),
        (HashMarked(), "so\n#### 1,234,567.5\n", "1234567.5"),
        (HashMarked(), "#### $12,000", "$12000"),
        (HashMarked(), "#### (1,200)", "(1,200)"),
        (HashMarked(), "#### 1\nno:\n#### -2\nThe answer is: -2", "-2"),
        (HashMarked(), "no mark, 72", None),
        (HashMarked(), "#### \n72", None),
        (AfterMark("The answer is:"), "Hence 5.\nThe answer is: 5", "5"),
        (Boxed(), r"first \boxed{1}, then $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (Boxed(), r"\boxed{ \left\{ x : x > 0 \right\} }", r"\left\{ x : x > 0 \right\}"),
        (Boxed(), r"the largest is $\boxed 2$.", "2"),
        (Boxed(), r"\boxed{1} and \boxed{\frac{1}{2}", None),
        (Boxed(), r"\boxed{}", None),
        (Boxed(), "72", None),
        (Plain(), " x^2 \n", "x^2"),
        (Plain(), " \n", None),
        (Automatic(), "so\n#### 1,000\nThe answer is: 1000", "1000"),
        (Automatic(), r"it is $\boxed{7}$. The answer is: 7", "7"),
        (Automatic(), "Half of ten is five.\nThe answer is: 5", "5"),
        (Automatic(), " 12.5", "12.5"),
        (Automatic(), r"\frac{\sqrt{3}}{2} \cdot \sin x", r"\frac{\sqrt{3}}{2} \cdot \sin x"),
        (Automatic(), "She had twelve apples and gave five away, so 7 are left", None),
        (Automatic(), "12 - 5\n= 7", None),
    ],
)  # fmt: skip
def test_extractors(extractor: GoldExtractor, text: str, gold: str | None) -> None:
    assert extractor(text) == gold


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_every_gsm8k_answer_ends_in_an_integer() -> None:
    with gzip.open(DATA / "gsm8k" / "train.jsonl.gz") as lines:
        answers = [json.loads(line)["answer"] for line in lines]
    golds = [HashMarked()(answer) for answer in answers]
    assert len(golds) == 7473
    assert all(gold is not None and gold.lstrip("-").isdigit() for gold in golds)
    assert golds == [Automatic()(answer) for answer in answers]


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_the_box_of_every_math_solution_is_its_answer() -> None:
    with gzip.open(DATA / "math" / "train_sample_1500.jsonl.gz") as lines:
        rows = [json.loads(line) for line in lines]
    assert [Boxed()(row["solution"]) for row in rows] == [row["answer"].strip() for row in rows]
    assert [Automatic()(row["answer"]) for row in rows] == [Plain()(row["answer"]) for row in rows]


@pytest.mark.parametrize(
    "text", ["so\n#### 72", "#### -1,234.5\n", r"so $\boxed{\frac{1}{2}}$.", r"\boxed{x^{2}}"]
)
def test_a_single_mark_reads_alike_in_a_gold_and_in_a_prediction(text: str) -> None:
    assert Automatic()(text) == (extract_marked(text) or "").replace(",", "")


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_worked_solutions_read_alike_as_golds_and_as_predictions() -> None:
    with gzip.open(DATA / "math" / "train_sample_1500.jsonl.gz") as lines:
        solutions = [json.loads(line)["solution"] for line in lines]
    assert [text for text in solutions if Boxed()(text) != extract_marked(text)] == []


def rows(pattern: str, folder: Path = DATA) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for path in sorted(folder.glob(pattern)):
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as lines:
            found += [json.loads(line) for line in lines]
    return found


QUICKSTART = Path(__file__).parents[2] / "quickstart" / "problems"
TOLD = "So it goes.\nThe answer is: {answer}"


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
@pytest.mark.parametrize(
    ("rule", "texts"),
    [
        (HashMarked(), [row["answer"] for row in rows("gsm8k/*")]),
        (Automatic(), [row["answer"] for row in rows("gsm8k/*")]),
        (Boxed(), [row["solution"] for row in rows("math/*")]),
        (Automatic(), [row["solution"] for row in rows("math/*")]),
        (Plain(), [row["answer"] for row in rows("math/*") + rows("word_problems/*")]),
        (
            AfterMark("The answer is:"),
            [TOLD.format(**row) for row in rows("math/*") + rows("word_problems/*")],
        ),
        (Automatic(), [TOLD.format(**row) for row in rows("math/*") + rows("word_problems/*")]),
        (AfterMark("The answer is"), [row["solution"] for row in rows("*.jsonl", QUICKSTART)]),
        (Automatic(), [row["solution"] for row in rows("*.jsonl", QUICKSTART)]),
        (Automatic(), [row["answer"] for row in rows("fault_cases/[ht]*.jsonl")]),  # headings, two boxes
    ],
)
def test_a_solution_is_right_against_the_gold_cut_from_it(rule: GoldExtractor, texts: list[str]) -> None:
    golds = [rule(text) for text in texts]
    assert None not in golds
    with MathVerifier() as verifier:
        verdicts = verifier(zip(texts, golds, strict=True))
    assert [text for text, verdict in zip(texts, verdicts, strict=True) if not verdict.correct] == []


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("#### Step 1\nwork\n#### Conclusion\nSo $\\boxed{63}$.", "63"),
        (r"So $x=\boxed{1}$ and $y=\boxed{63}$.", r"\boxed{1}, \boxed{63}"),
        ("#### yes", "yes"),
        ("siehe Lösungsblatt", None),
        ("voir la feuille de réponses", None),
        ("n/a", None),
        ("<think>5</think>The answer is 6.", "6"),
        ("The answer is approx. 500.", "approx. 500"),
        (r"\fbox{5}", "5"),
        (r"\boxed{5} and \boxed{", None),
    ],
)
def test_automatic_takes_answers_only(text: str, gold: str | None) -> None:
    assert Automatic()(text) == gold

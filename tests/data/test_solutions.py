"""Equations become worked solutions whose every line is right, and nothing is ever evaluated."""

from __future__ import annotations

import ast
import json
import random
import re
from fractions import Fraction
from pathlib import Path

import pytest

import flowdpo_pl.data.solutions
from flowdpo_pl.data.solutions import NoSolutionError, render_equation, written

WORD_PROBLEMS = Path(__file__).parents[3] / "shared" / "data" / "word_problems"
NOT_THEIR_GOLD = {"mawps-asdiv-a-train-1224", "mawps-asdiv-a-train-82", "mawps-asdiv-a-train-630"}
"""Rows of train.jsonl whose gold answer was rounded in another way than their equation."""


@pytest.mark.parametrize(
    ("equation", "gold", "trace"),
    [
        ("(8 + 2) * 3", "30", "8 + 2 = 10. 10 * 3 = 30. The answer is 30."),
        ("( 8+2 )*3", "30", "8 + 2 = 10. 10 * 3 = 30. The answer is 30."),
        ("8 - 2 - 3", "3", "8 - 2 = 6. 6 - 3 = 3. The answer is 3."),
        ("2 + 3 * 4", "14", "3 * 4 = 12. 2 + 12 = 14. The answer is 14."),
        ("436 - (132 + 236)", "68", "132 + 236 = 368. 436 - 368 = 68. The answer is 68."),
        (
            "(9 * 0.01) + (7 * 0.25)",
            "1.84",
            "9 * 0.01 = 0.09. 7 * 0.25 = 1.75. 0.09 + 1.75 = 1.84. The answer is 1.84.",
        ),
        ("26 / 3", "8.6667", "26 / 3 = 8.6667. The answer is 8.6667."),
        ("1 / 3 * 3", "1", "1 / 3 = 0.3333. 0.3333 * 3 = 1. The answer is 1."),
        ("-2 * -15", "30", "-2 * -15 = 30. The answer is 30."),
        ("5 - 8", "-3", "5 - 8 = -3. The answer is -3."),
        ("8.0 / 2", "4.0", "8 / 2 = 4. The answer is 4.0."),
        ("7", "7", "The answer is 7."),
    ],
)
def test_one_operation_a_sentence_in_the_order_of_evaluation(equation: str, gold: str, trace: str) -> None:
    assert render_equation(equation, gold) == trace


@pytest.mark.parametrize(
    ("equation", "gold", "reason"),
    [
        ("2 * (3", "6", "no sum of numbers"),
        ("2 * 3)", "6", "no sum of numbers"),
        ("2 3", "6", "no sum of numbers"),
        ("2 * ", "6", "no sum of numbers"),
        ("", "0", "no sum of numbers"),
        ("...", "0", "no sum of numbers"),
        ("... - 2", "0", "no sum of numbers"),
        ("()", "0", "no sum of numbers"),
        ("2 ** 3", "8", "no sum of numbers"),
        ("--2", "2", "no sum of numbers"),
        ("x = 2 + 3", "5", "no sum of numbers"),
        ("__import__('os').getpid()", "1", "no sum of numbers"),
        ("5 / (2 - 2)", "0", "divides by zero"),
        ("2 + 2", "5", "the equation gives 4, but the gold answer is 5"),
        ("2.99 / 12", "0.25", "the equation gives 0.2492, but the gold answer is 0.25"),
        ("2 + 2", "four", "the gold answer 'four' is no number"),
        ("2 + 2", "1/0", "is no number"),
    ],
)
def test_what_cannot_be_rendered_says_why(equation: str, gold: str, reason: str) -> None:
    with pytest.raises(NoSolutionError, match=re.escape(reason)):
        render_equation(equation, gold)


def test_nothing_is_evaluated_by_python() -> None:
    source = Path(flowdpo_pl.data.solutions.__file__).read_text(encoding="utf-8")
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    assert not names & {"eval", "exec", "compile", "literal_eval"}


def test_no_depth_or_size_of_an_equation_is_a_crash() -> None:
    assert render_equation("(" * 90 + "2" + ")" * 90, "2") == "The answer is 2."
    assert render_equation("1" + " + 1" * 500, "501").endswith("The answer is 501.")
    for nested in ("(" * 5000 + "2" + ")" * 5000, "1" + " + 1" * 50000):  # more than Python's parser takes
        with pytest.raises(NoSolutionError, match="no sum of numbers"):
            render_equation(nested, "2")
    assert written(Fraction(10) ** 400) == "1" + "0" * 400


def test_decimals_of_any_length_are_exact() -> None:
    assert render_equation(
        "0.12345678901234567890123 - 0.12345678901234567890122", "1e-23", decimals=23
    ).endswith("= 0.00000000000000000000001. The answer is 1e-23.")
    assert render_equation("007 + 1.50", "8.5") == "7 + 1.5 = 8.5. The answer is 8.5."


def random_equation(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.3:
        number = rng.choice([str(rng.randint(0, 99)), f"{rng.randint(0, 9)}.{rng.randint(1, 99)}"])
        return f"-{number}" if rng.random() < 0.1 else number
    left, right = (random_equation(rng, depth - 1) for _ in range(2))
    return f"({left} {rng.choice('+-*/')} {right})"


def reference(equation: str) -> Fraction:
    """The same value by Python's own parser."""

    def value(node: ast.expr) -> Fraction:
        if isinstance(node, ast.Constant):
            return Fraction(str(node.value))
        if isinstance(node, ast.UnaryOp):
            return -value(node.operand)
        assert isinstance(node, ast.BinOp)
        left, right = value(node.left), value(node.right)
        return {
            ast.Add: lambda: left + right,
            ast.Sub: lambda: left - right,
            ast.Mult: lambda: left * right,
            ast.Div: lambda: left / right,
        }[type(node.op)]()

    return value(ast.parse(equation, mode="eval").body)


def test_any_equation_gives_the_value_that_python_s_grammar_gives() -> None:
    rng = random.Random(0)
    rendered = 0
    for _ in range(500):
        equation = random_equation(rng, 3)
        if rng.random() < 0.5:  # precedence instead of parentheses
            equation = equation.replace("(", "").replace(")", "").replace("--", "- -")
        try:
            gold = written(reference(equation))
        except ZeroDivisionError:
            with pytest.raises(NoSolutionError, match="divides by zero"):
                render_equation(equation, "0")
            continue
        trace = render_equation(equation, gold)
        assert trace.endswith(f"The answer is {gold}.")
        assert trace.count(" = ") == sum(equation.count(f" {sign} ") for sign in "+-*/")
        rendered += 1
    assert rendered > 400


@pytest.mark.skipif(not WORD_PROBLEMS.exists(), reason="../shared/data/word_problems is not here")
@pytest.mark.parametrize(("name", "rows", "without"), [("train", 1771, 0), ("valid", 289, 66)])
def test_every_row_of_the_word_problems_renders_or_says_why(name: str, rows: int, without: int) -> None:
    lines = (WORD_PROBLEMS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    problems = [json.loads(line) for line in lines]
    with_equation = [problem for problem in problems if problem["equation"] is not None]
    assert (len(problems), len(problems) - len(with_equation)) == (rows, without)
    refused = {}
    for problem in with_equation:
        try:
            trace = render_equation(problem["equation"], problem["answer"])
        except NoSolutionError as error:
            refused[problem["id"]] = str(error)
        else:
            assert trace.endswith(f"The answer is {problem['answer']}.")
    assert refused.keys() == (NOT_THEIR_GOLD if name == "train" else set())
    assert all("but the gold answer is" in reason for reason in refused.values())

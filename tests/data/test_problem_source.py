from __future__ import annotations

from decimal import Decimal

import pytest

from flowdpo_pl.data.gold import HashMarked, Plain
from flowdpo_pl.data.indexed_rows import Row
from flowdpo_pl.data.problem_source import ProblemSource, places_of, read_problem, written
from flowdpo_pl.data.questions import content_id
from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Problem
from flowdpo_pl.verify.several_golds import golds_of


def read(values: dict[str, object], **source: object) -> Problem | str:
    return read_problem(Row("here", values), ProblemSource("x.jsonl", **source))  # type: ignore[arg-type]


def test_the_named_fields_make_the_problem() -> None:
    row: dict[str, object] = {
        "query": " How many? ",
        "response": "two\n#### 2",
        "key": 7,
        "original": "Count.",
    }
    problem = read(
        row, question_field="query", answer_field="response", id_field="key", seed_question_field="original"
    )
    assert problem == Problem(id="7", question="How many?", gold="2", seed_question="Count.")


def test_without_an_id_field_the_id_depends_on_the_question_alone() -> None:
    first, second = read({"question": "q", "answer": "1"}), read({"question": "q ", "answer": "2"})
    assert isinstance(first, Problem) and isinstance(second, Problem)
    assert first.id == second.id == content_id("q") != content_id("r")


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        (10, "10"), (0, "0"), (2.5, "2.5"), (" 3 ", "3"), (2.0, "2.0"), (-0.5, "-0.5"),
        (12345678901234567891, "12345678901234567891"),
        (Decimal("2.50"), "2.5"), (Decimal("3"), "3.0"), (Decimal("0.1"), "0.1"),
        (Decimal("1e20"), "100000000000000000000"),
        (Decimal("12345678901234567891.5"), "12345678901234567891.5"),
        (1e-7, "0.0000001"), (Decimal("1e-7"), "0.0000001"),
    ],
)  # fmt: skip
def test_numbers_are_answers(answer: object, gold: str) -> None:
    problem = read({"question": "q", "answer": answer}, gold=Plain())
    assert isinstance(problem, Problem) and problem.gold == gold


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "no question"),
        ({"question": None, "answer": "1"}, "no question"),
        ({"question": " \n", "answer": "1"}, "no question"),
        ({"question": ["q"], "answer": "1"}, "question is not text but list"),
        ({"question": "q"}, "no answer"),
        ({"question": "q", "answer": float("nan")}, "no answer"),
        ({"question": "q", "answer": float("inf")}, "no answer"),
        ({"question": "q", "answer": Decimal("-Infinity")}, "no answer"),
        ({"question": float("nan"), "answer": "1"}, "no question"),
        (
            {"question": "q", "answer": 1e20},
            "answer is a number whose digits are lost or too many: write it as text",
        ),
        (
            {"question": "q", "answer": Decimal("1e999999")},
            "answer is a number whose digits are lost or too many: write it as text",
        ),
        ({"question": "q \ud83d", "answer": "#### 1"}, "question holds half a character (a lone surrogate)"),
        ({"question": "q", "answer": "\ud83d\n#### 1"}, "answer holds half a character (a lone surrogate)"),
        ({"question": "q\0", "answer": "#### 1"}, "question holds a NUL character"),
        ({"question": "q", "answer": " "}, "no answer"),
        ({"question": "q", "answer": True}, "answer is neither text nor a number but bool"),
        ({"question": "q", "answer": "seven"}, "no gold answer found in the answer"),
    ],
)
def test_unusable_rows_say_why(values: dict[str, object], reason: str) -> None:
    assert read(values, gold=HashMarked()) == reason


def test_a_row_without_its_id_is_unusable() -> None:
    assert read({"question": "q", "answer": "1"}, id_field="id") == "no id"


def test_a_limit_is_positive() -> None:
    with pytest.raises(UserError, match=r"^limit is 0"):
        ProblemSource("x.jsonl", limit=0)


def test_label_fields_become_labels_where_they_are_given() -> None:
    problem = read({"question": "q", "answer": "1", "level": 3, "type": ""}, label_fields=["type", "level"])
    assert isinstance(problem, Problem) and problem.labels == (("level", "3"),)


def test_parts_divide_a_source_and_keep_the_rewrites_of_a_seed_together() -> None:
    problems = [Problem(str(n), f"q{n}", "1", seed_question=f"seed {n // 3}") for n in range(600)]
    parts = [ProblemSource("x.jsonl", part=bounds) for bounds in ((0.0, 0.5), (0.5, 0.75), (0.75, 1.0))]
    held = [[problem for problem in problems if part.holds(problem)] for part in parts]
    assert sorted(p.id for part in held for p in part) == sorted(p.id for p in problems)
    assert [len(part) / 600 for part in held] == pytest.approx([0.5, 0.25, 0.25], abs=0.1)
    seeds = [{p.seed_question for p in part} for part in held]
    assert not seeds[0] & seeds[1] and not seeds[0] & seeds[2] and not seeds[1] & seeds[2]


@pytest.mark.parametrize("part", [(0.5, 0.5), (0.8, 0.2), (-0.1, 1.0), (0.0, 1.1)])
def test_a_part_has_ascending_bounds(part: tuple[float, float]) -> None:
    with pytest.raises(UserError, match=r"^part is .*ascending bounds.*x\.jsonl"):
        ProblemSource("x.jsonl", part=part)


def test_every_text_of_a_problem_can_be_written_down() -> None:
    for field in ("id", "seed", "label"):
        row: dict[str, object] = {"question": "q", "answer": "1", "id": 1, "seed": "s", "label": "l"}
        row[field] = "x \ud83d"
        found = read(row, id_field="id", seed_question_field="seed", label_fields=["label"])
        assert isinstance(found, str) and found.endswith("holds half a character (a lone surrogate)")


def test_a_number_that_is_not_there_names_nothing() -> None:
    """A table of numbers marks its gaps by NaN."""
    row: dict[str, object] = {
        "question": "q",
        "answer": "1",
        "id": 1,
        "seed": float("nan"),
        "label": float("nan"),
    }
    problem = read(row, seed_question_field="seed", label_fields=["label"])
    assert isinstance(problem, Problem) and not problem.seed_question and not problem.labels
    assert read({**row, "id": float("nan")}, id_field="id") == "no id"


def test_a_float_has_all_its_digits_up_to_where_whole_numbers_are_lost() -> None:
    assert written(float(2**53 - 1)) == f"{2**53 - 1}.0" and written(float(2**53)) is None
    assert written(-1e300) is None and written(123456.75) == "123456.75"


def test_forms_of_one_question_stand_in_one_part() -> None:
    """At the first place among them; a question that is always written alike stays where it was."""
    alike = [Problem(f"a{n}", f"How many are {n}?", "1") for n in range(200)]
    variants = [Problem(f"b{n}", f"how many  are {n}", "1") for n in range(0, 200, 2)]
    places = places_of([*alike, *variants])
    assert places == places_of([*reversed(variants), *reversed(alike)]) and len(places) == 100
    parts = [ProblemSource("x.jsonl", part=bounds) for bounds in ((0.0, 0.4), (0.4, 1.0))]
    for problem, variant in zip(alike[::2], variants, strict=True):
        held = [part.holds(problem, places) for part in parts]
        assert held == [part.holds(variant, places) for part in parts] and sum(held) == 1
    assert any(part.holds(alike[n * 2]) != part.holds(variants[n]) for part in parts for n in range(100))
    assert all(part.holds(p, places) == part.holds(p) for part in parts for p in alike[1::2])


def test_kept_columns_come_along_as_json_has_them() -> None:
    row: dict[str, object] = {"question": "q", "answer": "1", "tests": [Decimal("0.5"), None], "more": "x"}
    problem = read(row, keep=["tests", "absent"])
    assert isinstance(problem, Problem)
    assert problem["tests"] == [0.5, None] and problem["absent"] is None
    assert problem.kept == (("tests", [0.5, None]), ("absent", None)), "and no other"
    assert read({**row, "tests": b"x"}, keep=["tests"]) == "a kept column holds bytes"
    assert (
        read({**row, "tests": ["\ud83d"]}, keep=["tests"])
        == "tests holds half a character (a lone surrogate)"
    )


def test_a_list_is_several_gold_answers_where_the_field_is_the_answer() -> None:
    row: dict[str, object] = {"question": "q", "answer": ["Paris", " é", 3]}
    problem = read(row, gold=Plain())
    assert isinstance(problem, Problem) and golds_of(problem.gold) == ("Paris", " é", "3")
    assert read(row) == "answer is neither text nor a number but list"
    for odd in ([], [None], [["x"]], [True], [{}]):
        told = read({"question": "q", "answer": odd}, gold=Plain())
        assert told == "answer is neither text nor a number but list"

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from flowdpo_pl.data.gold import HashMarked
from flowdpo_pl.data.grouping import KeepTogether
from flowdpo_pl.data.problem_source import ProblemSource
from flowdpo_pl.data.problem_stream import DUPLICATE, ProblemStream, packed, up_to
from flowdpo_pl.data.questions import question_key
from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Problem
from tests.problem_files import numbered, write_jsonl


def questions(stream: ProblemStream) -> list[list[str]]:
    return [[problem.question for problem in batch] for batch in stream.batches()]


def flat(stream: ProblemStream) -> list[str]:
    return [question for batch in questions(stream) for question in batch]


def test_batches_run_on_over_the_borders_of_chunks(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", numbered(11))
    stream = ProblemStream(ProblemSource(path), chunk_size=5, batch_size=3)
    assert [len(batch) for batch in questions(stream)] == [3, 3, 3, 2]
    assert flat(stream) == [f"q{n}" for n in range(11)]


def test_the_order_depends_on_the_seed_alone(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", numbered(50))

    def order(seed: int | None, **sizes: Any) -> list[str]:
        return flat(ProblemStream(ProblemSource(path), seed=seed, **sizes))

    assert order(1) == order(1) == order(1, chunk_size=8, batch_size=8)
    assert sorted(order(1)) == sorted(order(None))
    assert order(1) != order(2) and order(1) != order(None)


def test_unusable_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = [
        *numbered(2),
        {"question": "", "answer": "1"},
        "",
        {"question": "q2", "answer": None},
        {"question": "q0 ", "answer": "0"},
        {"question": "q3 and much more", "answer": "3"},
        {"question": "q4", "answer": "4"},
    ]
    lines: list[str] = []
    stream = ProblemStream(
        ProblemSource(write_jsonl(tmp_path / "a.jsonl", rows)),
        chunk_size=4,
        admit=lambda problem: "too long" if len(problem.question) > 5 else None,
        report=lines.append,
    )
    assert flat(stream) == ["q0", "q1", "q4"]
    assert stream.skipped == {"no question": 2, "no answer": 1, DUPLICATE: 1, "too long": 1}
    assert len(lines) == 2  # one for each chunk that brought news
    assert "4 of 8 rows read, 2 skipped (2 no question)" in lines[0]
    assert "8 of 8 rows read, 5 skipped" in lines[1]
    assert flat(stream) == ["q0", "q1", "q4"] and stream.skipped.total() == 5  # counted anew


def test_an_id_belongs_to_one_problem(tmp_path: Path) -> None:
    rows = [{"id": 1, "question": "q", "answer": 1}, {"id": 1, "question": "r", "answer": 1}]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    stream = ProblemStream(ProblemSource(path, id_field="id"))
    assert flat(stream) == ["q"] and stream.skipped == {"id of an earlier row": 1}


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"question": "", "answer": "#### 1"}, "no question"),
        ({"question": ["q"], "answer": "#### 1"}, "question is not text but list"),
        ({"question": "q", "answer": "one"}, "no gold answer found in the answer"),
    ],
)
def test_refused_rows_are_named_before_any_batch(row: object, complaint: str, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"question": "p", "answer": "#### 2"}, row])
    with pytest.raises(UserError, match=rf"a\.jsonl:2: {complaint}; mend or remove the row"):
        ProblemStream(ProblemSource(path, gold=HashMarked()), refuse=True, seed=0)


def test_a_refused_problem_that_cannot_be_played_is_named(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", numbered(3))
    stream = ProblemStream(
        ProblemSource(path),
        refuse=True,
        admit=lambda problem: "too long" if problem.question == "q1" else None,
    )
    with pytest.raises(UserError, match=r"a\.jsonl:2: too long"):
        list(stream.batches())


UNREADABLE = ["see the solution sheet", "-", "\u2014", "?"]
"""None of them can be compared with an answer."""


def test_unreadable_golds_are_skipped_and_counted(tmp_path: Path) -> None:
    golds = ["1", "see the solution sheet", "1/2", "-", "", None, float("nan"), "see the solution sheet"]
    rows = [{"question": f"q{n}", "answer": gold} for n, gold in enumerate(golds)]
    lines: list[str] = []
    stream = ProblemStream(ProblemSource(write_jsonl(tmp_path / "a.jsonl", rows)), report=lines.append)
    assert flat(stream) == ["q0", "q2"]
    assert stream.skipped == {"unreadable gold answer": 3, "no answer": 3}
    assert (stream.unreadable_golds, stream.problems_met) == (6, 8)
    assert "8 of 8 rows read, 6 skipped (" in lines[0] and "3 unreadable gold answer" in lines[0]
    told = len(lines)
    assert len([*stream.batches(2)]) > 0 and len(lines) == told, "a later pass says nothing new"


@pytest.mark.parametrize("gold", UNREADABLE)
def test_an_unreadable_gold_is_refused_by_name_before_any_batch(gold: str, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [*numbered(1), {"question": "q", "answer": gold}])
    with pytest.raises(UserError, match=rf"a\.jsonl:2: unreadable gold answer {re.escape(repr(gold))}; mend"):
        ProblemStream(ProblemSource(path), refuse=True)


def test_half_of_the_golds_missing_is_told(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "answer": str(n) if n % 2 else float("nan")} for n in range(20)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    stream = ProblemStream(ProblemSource(path))
    assert len(flat(stream)) == 10 and stream.unreadable_golds == 10
    with pytest.raises(UserError, match=r"a\.jsonl:1: no answer 'nan'; mend or"):
        ProblemStream(ProblemSource(path), refuse=True)


def test_a_question_with_two_golds_is_no_mere_duplicate(tmp_path: Path) -> None:
    rows = [{"question": "q", "answer": "1"}, {"question": "Q ", "answer": "2"}, *numbered(1)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    stream = ProblemStream(ProblemSource(path))
    assert flat(stream) == ["q", "q0"]
    assert stream.skipped == {"same question as an earlier row with another gold answer": 1}
    with pytest.raises(UserError, match=r"a\.jsonl:2: same question .* with another gold answer '2'; mend"):
        list(ProblemStream(ProblemSource(path), refuse=True).batches())


def test_forms_of_one_question_are_duplicates(tmp_path: Path) -> None:
    rows = [{"question": q, "answer": "1"} for q in ("How many?", "How  many?", "how many", "How few?")]
    stream = ProblemStream(ProblemSource(write_jsonl(tmp_path / "a.jsonl", rows)))
    assert flat(stream) == ["How many?", "How few?"] and stream.skipped == {DUPLICATE: 2}


def test_parts_of_a_source_share_no_form_of_a_question(tmp_path: Path) -> None:
    rows = [
        {"question": f"{text} {n}?", "answer": "1"} for n in range(60) for text in ("How  many", "How many")
    ]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    parts: list[tuple[float, float]] = [(0.0, 0.5), (0.5, 1.0)]
    found = [flat(ProblemStream(ProblemSource(path, part=part), seed=n)) for n, part in enumerate(parts)]
    assert len(found[0]) + len(found[1]) == 60 and all(found)
    assert not {question_key(q) for q in found[0]} & {question_key(q) for q in found[1]}


def test_duplicates_are_no_reason_to_refuse(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [*numbered(2), *numbered(2)])
    assert flat(ProblemStream(ProblemSource(path), refuse=True)) == ["q0", "q1"]


def test_missing_columns_are_named_with_those_present(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", numbered(3))
    with pytest.raises(
        UserError,
        match=r"a\.jsonl has no column 'query': set data\.train\.question_field to one of answer, question",
    ):
        ProblemStream(ProblemSource(path, question_field="query"))
    with pytest.raises(UserError, match=r"no column 'seed': set data\.validation\.seed_question_field"):
        ProblemStream(ProblemSource(path, seed_question_field="seed"), key="data.validation")


def test_a_column_may_be_absent_from_single_rows(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"question": "p"}, *numbered(1)])
    assert flat(ProblemStream(ProblemSource(path))) == ["q0"]


@pytest.mark.parametrize("rows", [[], ["", ""]])
def test_an_empty_data_set_is_an_error(rows: list[object], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.train \(.*a\.jsonl\) has no rows"):
        ProblemStream(ProblemSource(write_jsonl(tmp_path / "a.jsonl", rows)))


def test_a_stream_without_usable_problem_is_an_error(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"question": "q", "answer": ""}, {"question": 5, "answer": ""}])
    stream = ProblemStream(ProblemSource(path))
    with pytest.raises(
        UserError, match=r"no usable problem: 2 of 2 rows read, 2 skipped \(1 no answer, 1 question"
    ):
        list(stream.batches())


def test_a_limit_counts_problems_and_not_rows(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"question": "", "answer": ""}, *numbered(100)])
    stream = ProblemStream(ProblemSource(path, limit=5), batch_size=4)
    assert questions(stream) == [["q0", "q1", "q2", "q3"], ["q4"]]
    assert stream.total == 5
    assert ProblemStream(ProblemSource(path)).total == 101
    everything = flat(ProblemStream(ProblemSource(path), seed=3))
    assert flat(ProblemStream(ProblemSource(path, limit=40), seed=3)) == everything[:40]


def test_one_rewrite_a_seed_is_the_default(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "answer": n, "original": f"s{n % 3}"} for n in range(12)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    stream = ProblemStream(ProblemSource(path, seed_question_field="original"), seed=1)
    (batch,) = stream.batches()
    assert {problem.seed_question for problem in batch} == {"s0", "s1", "s2"} and len(batch) == 3
    assert stream.skipped.total() == 9


def test_all_rewrites_of_a_seed_in_one_batch(tmp_path: Path) -> None:
    rows = [{"question": f"q{n}", "answer": n, "original": f"s{n % 4}"} for n in range(12)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    source = ProblemSource(path, seed_question_field="original", grouping=KeepTogether())
    batches = list(ProblemStream(source, seed=1, batch_size=7, chunk_size=8).batches())
    assert [len(batch) for batch in batches] == [6, 6]
    first, second = ({problem.seed_question for problem in batch} for batch in batches)
    assert first.isdisjoint(second)


def test_keeping_together_needs_a_seed_question(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", numbered(3))
    with pytest.raises(UserError, match=r"KeepTogether, but .* set data\.train\.seed_question_field"):
        ProblemStream(ProblemSource(path, grouping=KeepTogether()))


def problems(text: str) -> list[Problem]:
    return [Problem(letter, letter, "1") for letter in text]


def spell(groups: list[list[Problem]]) -> list[str]:
    return ["".join(problem.id for problem in group) for group in groups]


def test_packing_splits_no_group() -> None:
    groups = [problems(text) for text in ("ab", "cd", "e", "fgh", "i")]
    assert spell(list(packed(groups, 3))) == ["ab", "cde", "fgh", "i"]


def test_up_to_cuts_the_last_group() -> None:
    groups = [problems(text) for text in ("ab", "cde", "f")]
    assert spell(list(up_to(groups, 4))) == ["ab", "cd"]
    assert spell(list(up_to(groups, 5))) == ["ab", "cde"]
    assert spell(list(up_to(groups, None))) == ["ab", "cde", "f"]

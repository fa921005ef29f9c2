"""Trace files: read back as written, refused with a place when they are something else."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.traces import Trace, read_traces, to_line, write_parquet

TRACE = Trace("a", "1 + 1 ?", "2", "it is 2", True, extracted="2", source="flow", made_by={"seed": 1})


def test_a_file_gives_its_traces_back(tmp_path: Path) -> None:
    other = Trace("b", "ü ?", "3", "two\nlines", False, attempts=4, generated_tokens=9, token_ids=(7, 8))
    file = tmp_path / "traces.jsonl"
    file.write_text(to_line(TRACE) + to_line(other), encoding="utf-8")
    assert read_traces(file) == [TRACE, other]
    write_parquet([TRACE, other], tmp_path / "traces.parquet")
    assert read_traces(tmp_path / "traces.parquet") == [TRACE, other]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "line 1 is no JSON"),
        ("[1]\n", "line 1 is no trace"),
        (json.dumps({"question": "?", "answer": "2"}) + "\n", "line 1 is no trace: it has no problem_id"),
        (to_line(TRACE).replace("[]", '["a"]'), "line 1 is no trace: its token_ids are no list of whole"),
        (
            to_line(TRACE).replace('{"seed": 1}', "5"),
            "line 1 is no trace: made_by of the trace is 5, not an object",
        ),
        (
            to_line(TRACE).replace('"flow"', "null"),
            "line 1 is no trace: source of the trace is null, not a text",
        ),
        (to_line(TRACE).replace("[]", "[-1]"), "its token_ids are no list of whole numbers from 0 on"),
        (to_line(TRACE) * 2, "holds problem a twice"),
    ],
)
def test_another_file_is_refused_with_its_place(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=told):
        read_traces(file)


def test_a_missing_file_and_a_broken_parquet_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_traces(tmp_path / "none.jsonl")
    broken = tmp_path / "broken.parquet"
    broken.write_text("no parquet", encoding="utf-8")
    with pytest.raises(UserError, match="not a parquet file"):
        read_traces(broken)


def test_half_a_character_is_refused_where_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    row = {"problem_id": "a", "question": "q", "gold": "1", "trace": "\ud83d", "correct": True}
    path.write_text(json.dumps(row))
    with pytest.raises(UserError, match=r"t\.jsonl, line 1: trace holds half a character"):
        read_traces(path)


def test_a_key_that_a_line_has_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(to_line(TRACE).replace('"gold"', '"question": "other", "gold"'))
    with pytest.raises(UserError, match=r"t\.jsonl, line 1 is no JSON \(the key 'question' is there twice\)"):
        read_traces(path)


def test_a_score_is_read_back_and_one_out_of_range_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(to_line(replace(TRACE, score=0.75)))
    assert read_traces(path)[0].score == 0.75 and TRACE.score == 1.0
    path.write_text(to_line(TRACE).replace('"score": 1.0', '"score": 1.5'))
    with pytest.raises(UserError, match="its score is no number from 0 to 1"):
        read_traces(path)


def test_half_characters_of_a_model_are_escapes_from_the_start_in_every_file(tmp_path: Path) -> None:
    trace = replace(TRACE, trace="it is \ud83d2", extracted="\ud83d2")
    assert (trace.trace, trace.extracted) == ("it is \\ud83d2", "\\ud83d2")
    (tmp_path / "t.jsonl").write_text(to_line(trace), encoding="utf-8")
    write_parquet([trace], tmp_path / "t.parquet")
    assert read_traces(tmp_path / "t.jsonl") == read_traces(tmp_path / "t.parquet") == [trace]


@pytest.mark.parametrize("made_by", ["no json", "[1]", "5", "[" * 100_000, 5])
def test_a_table_whose_made_by_is_no_object_is_refused_by_its_row(tmp_path: Path, made_by: object) -> None:
    import pyarrow
    from pyarrow import parquet

    row = {**asdict(TRACE), "made_by": made_by}
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"t\.parquet, row 1 is no trace: .*made_by"):
        read_traces(tmp_path / "t.parquet")


def test_what_a_table_leaves_open_is_as_in_a_trace_without_it(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    row = {
        **asdict(Trace("a", "1 + 1 ?", "2", "it is 2", True)),
        "made_by": None,
        "source": None,
        "score": None,
    }
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "t.parquet")
    assert read_traces(tmp_path / "t.parquet") == [Trace("a", "1 + 1 ?", "2", "it is 2", True)]

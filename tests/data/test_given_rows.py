"""Rows given in Python are those of a file with the same rows. Also tests `data.table_values`."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, Features, Value

from flowdpo_pl import ProblemSource, PromptDataModule
from flowdpo_pl.data.given_rows import GivenRows
from flowdpo_pl.data.problem_stream import ProblemStream
from flowdpo_pl.data.rows import files_of, open_rows, require_exists
from flowdpo_pl.errors import UserError
from flowdpo_pl.types import Problem

ROWS = [
    {"question": f"{n} + 0.1?", "answer": answer, "level": n % 3, "note": None}
    for n, answer in enumerate(["0.1", 1, "\\frac{1}{2}", "", None, 3, "4", "1", "x", 12, "13", 14])
]


def batches(place: Any, **options: Any) -> list[list[Problem]]:
    source = ProblemSource(place, label_fields=["level"], keep=["note"])
    return list(ProblemStream(source, chunk_size=4, batch_size=2, seed=1, **options).batches())


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def test_a_list_and_a_data_set_give_the_problems_of_their_file(tmp_path: Path) -> None:
    expected = batches(str(written(tmp_path, ROWS)))
    as_text = [{**row, "answer": None if row["answer"] is None else str(row["answer"])} for row in ROWS]
    assert batches(ROWS) == batches(tuple(ROWS)) == batches(written(tmp_path, ROWS)) == expected
    assert batches(Dataset.from_list(as_text)) == batches(as_text) == expected


def test_numbers_of_numpy_and_of_short_columns_keep_the_digits_that_they_show() -> None:
    rows = [{"question": "a?", "answer": one} for one in (np.int64(3), np.float64(0.1), np.float32(0.1))]
    assert [row.values["answer"] for row in GivenRows(rows).read([0, 1, 2])] == [3, 0.1, Decimal("0.1")]
    short = Dataset.from_dict({"answer": [0.1]}, features=Features({"answer": Value("float32")}))
    assert GivenRows(short).read([0])[0].values == {"answer": Decimal("0.1")}


def test_rows_are_known_by_what_they_hold() -> None:
    given = GivenRows(ROWS)
    assert given.content == GivenRows([dict(reversed(row.items())) for row in ROWS]).content
    assert given == GivenRows(list(ROWS)) and given != GivenRows(ROWS[:-1])
    assert given.content != GivenRows([*ROWS[1:], ROWS[0]]).content
    data = Dataset.from_list([{"question": "a?", "answer": "1"}])
    assert GivenRows(data).content == GivenRows([{"question": "a?", "answer": "1"}]).content


def test_a_list_that_changes_afterwards_changes_nothing() -> None:
    rows = [{"question": "a?", "answer": 1}]
    given = GivenRows(rows)
    rows[0]["answer"] = 2
    rows.append({"question": "b?", "answer": 2})
    assert [row.values["answer"] for row in given.read(range(given.total))] == [1]


DATA = Dataset.from_list([{"question": "a?", "answer": 1}])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda: iter(ROWS), "give a list of dicts"),
        (lambda: {"question": ["a?"]}, "problems are given as dict"),
        (lambda: 3, "problems are given as int"),
        (lambda: [*ROWS[:2], "a?"], r"problems\[2\] is of type str"),
        (lambda: [{1: "a?"}], r"problems\[0\] has a column named 1"),
        (lambda: DatasetDict(train=DATA, test=DATA), r"one of its splits \(train, test\)"),
        (lambda: DATA.to_iterable_dataset(), "IterableDataset, which a resumed run can't"),
    ],
)
def test_what_is_no_rows_is_refused_by_its_key(given: Callable[[], Any], told: str) -> None:
    with pytest.raises(UserError, match=rf"^data\.train: .*{told}"):
        PromptDataModule(given())


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([*ROWS[:1], {"question": " ", "answer": 1}], r"problems\[1\]: no question"),
        ([{"question": "a?", "answer": "see the sheet"}], r"problems\[0\]: unreadable gold answer"),
        ([{"task": "a?", "answer": 1}], r"has no column 'question'.*to one of answer, task"),
        ([], r"has no rows"),
    ],
)
def test_a_bad_row_is_refused_in_the_words_of_a_file(rows: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(UserError, match=told):
        PromptDataModule(rows, invalid="refuse").setup("fit")


def test_what_a_config_says_of_them_is_refused_in_a_sentence() -> None:
    told = str(GivenRows(ROWS))
    assert told.startswith("python:12 rows with digest ")
    for look in (open_rows, files_of, require_exists):
        with pytest.raises(UserError, match="were given in Python, and no file of them is known"):
            look(told)

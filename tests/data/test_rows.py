"""Rows of files, folders and the hub.

Also tests `data.indexed_rows` and `data.json_rows`.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from flowdpo_pl.data import packed_files as packed_module
from flowdpo_pl.data import rows as rows_module
from flowdpo_pl.data.indexed_rows import Row
from flowdpo_pl.data.rows import HubRows, names_a_file, open_rows, shuffled_through_buffer
from flowdpo_pl.errors import UserError
from tests.problem_files import numbered, write_jsonl


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def write(path: Path, rows: list[dict[str, object]]) -> str:
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        schema = pyarrow.schema([("question", pyarrow.string()), ("answer", pyarrow.string())])
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        write_jsonl(path, rows)
    return str(path)


def values(chunks: Iterator[list[Row]]) -> list[dict[str, object]]:
    return [row.values for chunk in chunks for row in chunk]


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.parquet", "odd[1].parquet", "A.JSONL"]
)
def test_every_kind_of_file_gives_the_same_chunks(name: str, tmp_path: Path) -> None:
    expected = numbered(10)
    opened = open_rows(write(tmp_path / name, expected))
    assert opened.total == 10
    assert [len(chunk) for chunk in opened.chunks(4, None)] == [4, 4, 2]
    assert values(opened.chunks(4, None)) == expected
    as_lines = open_rows(write(tmp_path / "reference.jsonl", expected))
    assert values(opened.chunks(4, 3)) == values(as_lines.chunks(7, 3)) != expected


def test_a_local_file_is_permuted_as_a_whole(tmp_path: Path) -> None:
    opened = open_rows(write_jsonl(tmp_path / "a.jsonl", numbered(1000)))
    (first, *_) = opened.chunks(100, 0)
    assert max(int(str(row.values["answer"])) for row in first) > 900


def test_rows_know_where_they_stand(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", numbered(5))
    (chunk,) = open_rows(path).chunks(5, 1)
    assert {row.where: row.values["question"] for row in chunk} == {
        f"{path}:{n + 1}": f"q{n}" for n in range(5)
    }


def test_a_blank_line_is_a_row_without_values(tmp_path: Path) -> None:
    opened = open_rows(write_jsonl(tmp_path / "a.jsonl", [{"question": "q"}, "", {"question": "r"}]))
    assert values(opened.chunks(8, None)) == [{"question": "q"}, {}, {"question": "r"}]


def test_the_last_line_needs_no_line_end(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "q"}\n{"question": "r"}')
    assert len(values(open_rows(str(tmp_path / "a.jsonl")).chunks(8, 0))) == 2


def test_large_gzip_files_leave_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_module, "_IN_MEMORY_BYTES", 10)
    opened = open_rows(write_jsonl(tmp_path / "a.jsonl.gz", numbered(9)))
    assert values(opened.chunks(4, None)) == numbered(9)


@pytest.mark.parametrize(
    ("path", "is_file"),
    [
        ("openai/gsm8k", False), ("meta-math/MetaMathQA", False), ("gsm8k", False), ("owner/set-v1.1", False),
        ("data.jsonl", True), ("data/train.jsonl.gz", True), ("train.csv", True), ("./data/train", True),
        ("/data/train", True), ("~/train", True), ("a/b/c", True), ("owner/set.parquet", True),
    ],
)  # fmt: skip
def test_hub_ids_and_files_are_told_apart(path: str, is_file: bool) -> None:
    assert names_a_file(path) is is_file


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        (
            "a.jsonl",
            b'{"question": "q"}\n{"question":\n',
            r"a\.jsonl:2: the line is not valid JSON \(Expecting",
        ),
        ("a.jsonl", b'{"question": "q"}\n\n[1]\n', r"a\.jsonl:3: the line is a JSON list"),
        ("a.jsonl", b'{"question": "\xff"}\n', r"a\.jsonl:1: the line is not valid JSON \('utf-8'"),
        ("a.jsonl.gz", b"plain text", r"a\.jsonl\.gz is no whole gzip file"),
        ("a.json", b"[{", r"a\.json gives no table \(.+\)"),
        ("a.json", b"", r"a\.json gives no table"),
        ("a.parquet", b"plain text", r"a\.parquet gives no table \(.+\)"),
        ("a.csv", b"question,answer\n", r"a\.csv is no kind of file that can be read: use one of \.jsonl,"),
    ],
)
def test_unreadable_files_are_named(name: str, content: bytes, complaint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=complaint) as caught:
        open_rows(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_truncated_gzip_file_is_named(tmp_path: Path) -> None:
    path = Path(write_jsonl(tmp_path / "a.jsonl.gz", numbered(1000)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"a\.jsonl\.gz is no whole gzip file"):
        open_rows(str(path))


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jsonl does not exist \(looked from "):
        open_rows("nowhere.jsonl")
    with pytest.raises(UserError, match="is a folder"):
        open_rows(str(tmp_path))
    (tmp_path / "train.jsonl").touch()
    with pytest.raises(UserError, match=r"did you mean .*/train\.jsonl\?"):
        open_rows(str(tmp_path / "trian.jsonl"))


def test_a_parquet_file_without_rows_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.parquet gives no table \(.*no data"):
        open_rows(write(tmp_path / "a.parquet", []))


class FakeHub:
    """What `load_dataset(streaming=True)` gives for a set of 700 rows that knows its size."""

    info = SimpleNamespace(splits={"train": SimpleNamespace(num_examples=700)})

    def __iter__(self) -> Iterator[dict[str, object]]:
        return iter(numbered(700))


def test_hub_sets_are_streamed_and_shuffled_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(*args: object, **kwargs: object) -> FakeHub:
        asked.append((args, kwargs))
        return FakeHub()

    monkeypatch.setattr(rows_module, "require_on_hub", lambda *args: True)
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    opened = open_rows("openai/gsm8k", "main", "train")
    assert asked == [(("openai/gsm8k", "main"), {"split": "train", "streaming": True})]
    assert isinstance(opened, HubRows) and opened.total == 700
    assert values(opened.chunks(8, None)) == numbered(700)
    shuffled = values(opened.chunks(8, 5))
    assert shuffled == values(opened.chunks(8, 5)) != values(opened.chunks(8, 6))
    assert sorted(int(str(row["answer"])) for row in shuffled) == list(range(700))
    assert next(opened.chunks(8, None))[2].where == "openai/gsm8k train, row 3"


def test_datasets_really_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` reads a folder as it reads a data set of the hub, without a network."""
    (tmp_path / "owner" / "set").mkdir(parents=True)
    write_jsonl(tmp_path / "owner" / "set" / "train.jsonl", numbered(20))
    monkeypatch.chdir(tmp_path)
    opened = HubRows("owner/set", None, "train")
    assert opened.total is None
    assert values(opened.chunks(8, None)) == numbered(20)
    with pytest.raises(UserError, match=r"owner/set .*split test\)"):
        HubRows("owner/set", None, "test")


def test_the_buffer_reads_no_further_than_it_must() -> None:
    read = []

    def chunks() -> Iterator[list[Row]]:
        for n in range(1000):
            read.append(n)
            yield [Row(str(n), {})]

    next(shuffled_through_buffer(chunks(), 1, random.Random(0)))
    assert len(read) == rows_module.BUFFER_CHUNKS


@pytest.mark.parametrize("error", [ConnectionError("no network\nat all"), ValueError("Bad split: train")])
def test_an_unreachable_hub_set_is_one_sentence(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(rows_module, "require_on_hub", lambda *args: True)
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    with pytest.raises(UserError, match="owner/set is neither a file here nor a data set") as caught:
        open_rows("owner/set")
    assert "\n" not in str(caught.value)


def test_json_keeps_texts_as_texts_and_every_digit(tmp_path: Path) -> None:
    """No date for a text that looks like one, no float for a number that a float can't hold."""
    row = '{"question": "2024-01-31", "answer": 12345678901234567891, "x": 0.30000000000000000001, "y": 1e20}'
    for name, text in (
        ("a.json", f"[{row},\n {row}]"),
        ("b.jsonl", row),
        ("c.json", row),
        ("d.json", f"{row}\n{row}\n"),
    ):
        (tmp_path / name).write_text(text)
        first = values(open_rows(str(tmp_path / name)).chunks(8, None))[0]
        assert first["question"] == "2024-01-31" and first["answer"] == 12345678901234567891
        assert (first["x"], first["y"]) == (Decimal("0.30000000000000000001"), Decimal("1e20"))


def test_a_column_of_json_may_mix_types(tmp_path: Path) -> None:
    expected: list[dict[str, object]] = [{"answer": 1}, {"answer": "2"}, {"answer": None, "more": [1]}, {}]
    (tmp_path / "a.json").write_text(json.dumps(expected))
    assert values(open_rows(str(tmp_path / "a.json")).chunks(8, None)) == expected


def test_json_by_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"question": ["p", "q"], "answer": [1, 2]}')
    assert values(open_rows(str(path)).chunks(8, None)) == [
        {"question": "p", "answer": 1},
        {"question": "q", "answer": 2},
    ]
    path.write_text('{"question": ["p", "q"], "answer": [1]}')
    with pytest.raises(UserError, match=r"a\.json has columns of different lengths"):
        open_rows(str(path))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.json.gz", "a.jsonl.gz"])
def test_a_byte_order_mark_is_no_text(name: str, tmp_path: Path) -> None:
    expected = numbered(3)
    text = (
        json.dumps(expected)
        if ".json" in name and ".jsonl" not in name
        else "\n".join(map(json.dumps, expected))
    )
    content = b"\xef\xbb\xbf" + text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert values(open_rows(str(tmp_path / name)).chunks(8, None)) == expected


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.jsonl", b'{"answer": 1, "answer": 2}', r"a\.jsonl:1: .*the key 'answer' is there twice"),
        ("a.json", b'[{"answer": 1, "answer": 2}]', r"a\.json gives no table .*'answer' is there twice"),
        ("a.json", b'[{"answer": 1}, 2]', r"a\.json, row 2 is a JSON int: make it an object"),
        ("a.json", b'[{"answer": 1}] [', r"a\.json gives no table \(Something follows the list"),
        ("a.json", b'[{"answer": 1},]', r"a\.json gives no table"),
        ("a.json", b"3", r"a\.json holds a JSON int: make it a list"),
        ("a.json", '[{"answer": "é"}]'.encode("latin-1"), r"a\.json gives no table \('utf-8' codec"),
        ("a.jsonl", '{"answer": "1"}\n'.encode("utf-16"), r"a\.jsonl:1: .*'utf-8' codec"),
        ("a.jsonl", b'{"answer": "1"}\n\0\0\0\0', r"a\.jsonl:2: the line is not valid JSON"),
        ("a.jsonl", b'{"question": "\xed\xa0\xbd"}', r"a\.jsonl:1: .*'utf-8' codec"),
        ("a.jsonl", b'{"answer": ' + b"1" * 5000 + b"}", r"a\.jsonl:1: .*4300 digits"),
        ("a.json", b"[" * 100_000, r"a\.json gives no table"),
        ("a.jsonl", b"[" * 100_000, r"a\.jsonl:1: the line is not valid JSON"),
    ],
)  # fmt: skip
def test_what_json_leaves_open_is_refused(name: str, content: bytes, complaint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=complaint) as caught:
        open_rows(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_short_float_is_the_decimal_that_was_stored(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    columns = {
        "short": pyarrow.array([0.1, None], pyarrow.float32()),
        "long": pyarrow.array([0.1, None], pyarrow.float64()),
        "whole": pyarrow.array([2**64 - 1, None], pyarrow.uint64()),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    assert values(open_rows(str(tmp_path / "a.parquet")).chunks(8, None)) == [
        {"short": Decimal("0.1"), "long": 0.1, "whole": 2**64 - 1},
        {"short": None, "long": None, "whole": None},
    ]


@pytest.mark.parametrize(
    "path", ["shards", "shards/", "./shards", "./shards/", "over/shards", "over/shards/"]
)
def test_a_folder_s_shards_are_read_in_the_order_of_their_names(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the folder is named, and whatever columns a later shard has."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / path
    folder.mkdir(parents=True)
    write_jsonl(folder / "part-1.jsonl.gz", [{"question": "q1", "answer": 2, "extra": 5}])
    write_jsonl(folder / "part-0.jsonl", [{"question": "q0", "answer": "1"}])
    (folder / "README.md").write_text("# Shards")
    opened = open_rows(path)
    assert values(opened.chunks(8, None)) == [
        {"question": "q0", "answer": "1"},
        {"question": "q1", "answer": 2, "extra": 5},
    ]
    assert [row.where.endswith("part-1.jsonl.gz:1") for row in next(opened.chunks(8, None))] == [False, True]
    assert len({row.where for chunk in opened.chunks(1, 3) for row in chunk}) == 2


def test_a_folder_of_several_splits_gives_the_one_asked_for(tmp_path: Path) -> None:
    for name in ("train-0.jsonl", "train-1.jsonl", "test-0.jsonl"):
        write_jsonl(tmp_path / name, [{"question": name}])
    opened = open_rows(str(tmp_path), split="train")
    assert [row["question"] for row in values(opened.chunks(8, None))] == ["train-0.jsonl", "train-1.jsonl"]
    with pytest.raises(UserError, match=r"several splits .* not clear which files are 'validation'"):
        open_rows(str(tmp_path), split="validation")
    write_jsonl(tmp_path / "more.jsonl", [])
    with pytest.raises(UserError, match="several splits"):
        open_rows(str(tmp_path), split="train")


@pytest.mark.parametrize("other", ["a.csv", "a.arrow", "a.jsonl.zst", "a.parquet"])
def test_a_shard_that_would_be_left_out_is_refused(other: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "b.jsonl", numbered(1))
    (tmp_path / other).write_bytes(b"")
    with pytest.raises(UserError, match=f"more than shards of one kind .*{other}"):
        open_rows(str(tmp_path))


def test_a_configuration_is_a_folder_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "main").mkdir()
    write_jsonl(tmp_path / "main" / "train.jsonl", numbered(2))
    assert open_rows(str(tmp_path), "main").total == 2
    with pytest.raises(UserError, match="socratic is no folder"):
        open_rows(str(tmp_path), "socratic")


def test_a_stream_that_breaks_off_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(FakeHub):
        def __iter__(self) -> Iterator[dict[str, object]]:
            yield from numbered(3)
            raise ValueError("other columns\nthan before")

    monkeypatch.setattr(rows_module, "require_on_hub", lambda *args: True)
    monkeypatch.setattr("datasets.load_dataset", lambda *args, **kwargs: Broken())
    with pytest.raises(UserError, match=r"owner/set train breaks off after row 3 \(other columns\)"):
        list(open_rows("owner/set").chunks(2, None))

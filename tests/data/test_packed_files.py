"""Every file of lines that the program reads may be packed, and may begin with a byte order mark."""

from __future__ import annotations

import codecs
import errno
import gzip
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowdpo_pl.data.json_rows import json_value
from flowdpo_pl.data.packed_files import text_lines
from flowdpo_pl.data.rows import open_rows
from flowdpo_pl.errors import UserError
from flowdpo_pl.results.predictions import read_predictions
from flowdpo_pl.results.predictions import to_line as prediction_line
from flowdpo_pl.results.traces import read_traces
from flowdpo_pl.results.traces import to_line as trace_line
from flowdpo_pl.results.tree_io import read_trees, tree_to_dict
from tests.callbacks.evaluating import prediction, trace
from tests.example_trees import random_tree


def _rows(path: Path) -> list[Any]:
    return [row.values for chunk in open_rows(str(path)).chunks(8, None) for row in chunk]


def _lines_of_trees() -> str:
    import json

    return "".join(json.dumps(tree_to_dict(random_tree(n))) + "\n" for n in range(3))


NAMES = [f"p{n}" for n in range(3)]
READERS: dict[str, tuple[Callable[[Path], Any], Callable[[], str]]] = {
    "problems": (_rows, lambda: '{"question": "é", "answer": "1"}\n{"question": "2", "answer": "2"}\n'),
    "traces": (read_traces, lambda: "".join(trace_line(trace(name)) for name in NAMES)),
    "predictions": (read_predictions, lambda: "".join(prediction_line(prediction(name)) for name in NAMES)),
    "trees": (lambda path: [str(tree) for tree in read_trees(path)], _lines_of_trees),
}


@pytest.mark.parametrize("kind", READERS)
def test_packed_marked_and_with_other_line_ends_it_is_the_same_file(kind: str, tmp_path: Path) -> None:
    read, lines = READERS[kind]
    plain = lines().encode()
    marked = codecs.BOM_UTF8 + plain
    forms = {
        "plain.jsonl": plain,
        "marked.jsonl": marked,
        "dos.jsonl": plain.replace(b"\n", b"\r\n"),
        "packed.jsonl.gz": gzip.compress(plain),
        "PACKED.JSONL.GZ": gzip.compress(marked),
        "packed_but_not_called_so.jsonl": gzip.compress(plain),
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
    first, *others = [read(tmp_path / name) for name in forms]
    assert len(first) >= 2 and all(other == first for other in others)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("cut", [True, False])
def test_half_a_packed_file_and_other_encodings_are_refused_by_name(
    kind: str, cut: bool, tmp_path: Path
) -> None:
    read, lines = READERS[kind]
    packed = gzip.compress(lines().encode() * 50)
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(packed[: len(packed) // 2] if cut else gzip.compress(lines().encode("utf-16")))
    with pytest.raises(UserError, match=r"x\.jsonl\.gz"):
        read(path)


def test_a_mark_is_no_text_at_the_beginning_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\n\ufefftwo".encode())
    assert list(text_lines(path)) == [(1, "one\n"), (2, "\ufefftwo")]
    assert json_value("\ufeff1".encode()) == 1


@pytest.mark.parametrize("at", ["write", "seek"])
def test_a_file_that_there_is_no_room_to_unpack_is_named(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"x" * 1000))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, at, full)
    with pytest.raises(
        UserError, match=r"a\.jsonl\.gz can't be unpacked \(No space left on device\): make room in"
    ):
        list(text_lines(path))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"can't be read \(Is a directory\): give a file"):
        list(text_lines(tmp_path))

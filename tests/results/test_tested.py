"""A test is found by its file or folder, and told by what its answers depend on."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.predictions import Prediction, to_line
from flowdpo_pl.results.tested import read_test

MADE_BY: dict[str, Any] = {
    "base": {"path": "here", "fingerprint": "f", "dtype": "float32", "compare_weights": True},
    "verifier": "MathVerifier",
    "seed": 0,
}
LINE = to_line(Prediction("p", "q", "1", "text", True))


def write(folder: Path, made_by: dict[str, Any] | None = MADE_BY) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predictions.jsonl").write_text(LINE)
    if made_by is not None:
        (folder / "summary.json").write_text(json.dumps({"verb": "test", "made_by": made_by}))
    return folder / "predictions.jsonl"


def test_file_folder_and_run_are_one(tmp_path: Path) -> None:
    file = write(tmp_path / "run" / "test")
    found = [read_test(place) for place in (file, file.parent, tmp_path / "run")]
    assert found[0] == found[1] == found[2]
    assert found[0].path == file and found[0].verifier == "MathVerifier"


def test_packed_it_is_the_same(tmp_path: Path) -> None:
    file = write(tmp_path)
    plain = read_test(file)
    with gzip.open(tmp_path / "predictions.jsonl.gz", "wt", encoding="utf-8") as packed:
        packed.write(LINE)
    file.unlink()
    assert read_test(tmp_path).predictions == plain.predictions


def test_where_the_base_lies_makes_no_difference(tmp_path: Path) -> None:
    there = {**MADE_BY, "base": {**MADE_BY["base"], "path": "there", "compare_weights": False}}
    other = {**MADE_BY, "base": {**MADE_BY["base"], "fingerprint": "g"}}
    made = [
        read_test(write(tmp_path / name, how)).made_by
        for name, how in (("a", MADE_BY), ("b", there), ("c", other))
    ]
    assert made[0] == made[1] != made[2]


def test_without_a_summary_nobody_knows(tmp_path: Path) -> None:
    assert read_test(write(tmp_path, None)).made_by is None
    (tmp_path / "summary.json").write_text('{"verb": "fit"}')
    assert read_test(tmp_path).verifier is None


def test_what_is_no_test_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no predictions\.jsonl, nor does its test/"):
        read_test(tmp_path)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "predictions.unfinished.jsonl").touch()
    with pytest.raises(UserError, match="has not ended: run its command again"):
        read_test(tmp_path)
    for name, content in (
        ("a.jsonl.gz", b"no gzip"),
        ("b.jsonl", b"\xff\xfe"),
        ("c.jsonl.gz", gzip.compress(b"{}")[:9]),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name}.*(can't be read|is no whole gzip file|is not UTF-8)"):
            read_test(tmp_path / name)
    write(tmp_path)
    for content in ("[]", "{", '{"made_by": 3}', '{"made_by": {"base": 5}}', "[" * 100_000):
        (tmp_path / "summary.json").write_text(content)
        with pytest.raises(
            UserError, match=r"summary\.json (is no|can't be read as the) summary of a `test`"
        ):
            read_test(tmp_path)

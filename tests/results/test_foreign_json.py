"""Any file in place of a JSON file is read or refused in a sentence, and nobody waits for it.

Also tests `results.foreign_file`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.foreign_json import read_json


def test_any_value_is_read(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    for text, value in [("{}", {}), ("[1]", [1]), ("null", None), ('"é"', "é")]:
        file.write_text(text, encoding="utf-8")
        assert read_json(file, "a summary") == value


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda file: None, "is no file: give one that holds a summary"),
        (Path.mkdir, "is no file"),
        (os.mkfifo, "is no file"),
        (lambda file: file.symlink_to("/dev/zero"), "is no file"),
        (lambda file: file.write_text(""), "no JSON in UTF-8"),
        (lambda file: file.write_text('{"a": '), "no JSON in UTF-8"),
        (lambda file: file.write_bytes(b'"\xff"'), "no JSON in UTF-8"),
        (lambda file: file.write_text("9" * 5000), "no JSON in UTF-8"),
        (lambda file: file.write_text("[" * 100_000), "nested too deep"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path: Path, made: Callable[[Path], object], why: str) -> None:
    file = tmp_path / "one.json"
    made(file)
    with pytest.raises(UserError, match=why) as refused:
        read_json(file, "a summary")
    assert str(file) in str(refused.value) and "\n" not in str(refused.value)


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    for name in ("n" * 5000, "nul\0"):
        with pytest.raises(UserError, match="a summary"):
            read_json(tmp_path / name, "a summary")

"""What was probably meant by a word or a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowdpo_pl.suggestions import near_path, nearest


@pytest.mark.parametrize(("word", "found"), [("fiit", "fit"), ("PATH", "path"), ("rl", "lr"), ("zzz", None)])
def test_the_nearest_word_is_alike_or_there_is_none(word: str, found: str | None) -> None:
    assert nearest(word, ["fit", "path", "test", "lr"]) == found


def test_a_near_path_is_in_the_same_folder_and_of_the_kind_asked_for(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    (tmp_path / "tune.yaml").touch()
    assert near_path(tmp_path / "trian.jsonl") == tmp_path / "train.jsonl"
    assert near_path(tmp_path / "trian.jsonl", lambda file: file.suffix == ".yaml") is None
    assert near_path(tmp_path / "elsewhere" / "train.jsonl") is None

"""A checkpoint with all its bytes, and the newest of those in a folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.checkpoint_files import PREVIOUS, held_by, is_whole, newest_whole


def checkpoint(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"weights": torch.zeros(1000)}, path)
    return path


def test_a_byte_that_is_missing_or_changed_is_seen(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path / "whole.ckpt")
    assert is_whole(whole) and not is_whole(tmp_path / "absent.ckpt") and not is_whole(tmp_path)
    for size in (0, 10, whole.stat().st_size // 2, whole.stat().st_size - 1):
        cut = Path(shutil.copy(whole, tmp_path / "cut.ckpt"))
        os.truncate(cut, size)
        assert not is_whole(cut), size
    content = bytearray(whole.read_bytes())
    content[content.index(bytes(500)) + 100] ^= 1
    cut.write_bytes(content)
    assert not is_whole(cut)


@pytest.mark.parametrize("flag", ["a password", "an unknown way of packing"])
def test_an_archive_that_no_run_packs_so_is_not_whole(tmp_path: Path, flag: str) -> None:
    file = checkpoint(tmp_path / "a.ckpt")
    content = bytearray(file.read_bytes())
    of_file, of_index = content.index(b"PK\3\4"), content.index(b"PK\1\2")
    if flag == "a password":
        content[of_file + 6] |= 1
        content[of_index + 8] |= 1
    else:
        content[of_file + 8] = content[of_index + 10] = 97
    file.write_bytes(content)
    assert not is_whole(file)


@pytest.mark.parametrize("at", range(0, 400, 7))
def test_a_byte_of_the_index_that_is_another_raises_nothing(tmp_path: Path, at: int) -> None:
    file = checkpoint(tmp_path / "a.ckpt")
    content = bytearray(file.read_bytes())
    content[len(content) - 1 - at] ^= 255
    file.write_bytes(content)
    assert is_whole(file) in (True, False)


def test_what_a_checkpoint_holds_is_read_without_running_it(tmp_path: Path) -> None:
    assert held_by(checkpoint(tmp_path / "a.ckpt"))["weights"].shape == (1000,)
    torch.save({"path": tmp_path}, tmp_path / "b.ckpt")
    with pytest.raises(UserError, match=r"b\.ckpt is spoilt, or holds other things than numbers"):
        held_by(tmp_path / "b.ckpt")
    torch.save([1], tmp_path / "c.ckpt")
    with pytest.raises(UserError, match=r"c\.ckpt is no checkpoint of a run"):
        held_by(tmp_path / "c.ckpt")


def test_the_newest_is_last_then_the_highest_number_then_the_previous_one(tmp_path: Path) -> None:
    names = ["last.ckpt", "problems_1000000.ckpt", "problems_999999.ckpt", PREVIOUS]
    for name in names:
        checkpoint(tmp_path / name)
    checkpoint(tmp_path / "best.ckpt")
    for name in names:
        assert newest_whole(tmp_path) == tmp_path / name
        os.truncate(tmp_path / name, 7)
    assert newest_whole(tmp_path) is None

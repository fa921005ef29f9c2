"""A checkpoint with all its bytes, and the newest of those in a folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from flowdpo_pl.results.checkpoint_files import PREVIOUS, is_whole, newest_whole


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


def test_the_newest_is_last_then_the_highest_number_then_the_previous_one(tmp_path: Path) -> None:
    names = ["last.ckpt", "problems_1000000.ckpt", "problems_999999.ckpt", PREVIOUS]
    for name in names:
        checkpoint(tmp_path / name)
    checkpoint(tmp_path / "best.ckpt")
    for name in names:
        assert newest_whole(tmp_path) == tmp_path / name
        os.truncate(tmp_path / name, 7)
    assert newest_whole(tmp_path) is None

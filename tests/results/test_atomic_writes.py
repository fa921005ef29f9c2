import errno
import os
import re
import shutil
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.results.atomic_writes import (
    append_lines,
    copied,
    remove,
    remove_partials,
    whole_file,
    whole_folder,
)


class Killed(BaseException):
    pass


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    with whole_file(target) as partial:
        partial.write_text("one")
        assert not target.exists()
    assert target.read_text() == "one" and list(target.parent.iterdir()) == [target]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(Killed), whole_file(target) as partial:
        partial.write_text("half")
        raise Killed
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_the_whole_old_one(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for content in ("old", "new"):
        with whole_folder(target) as partial:
            (partial / "inner").mkdir(parents=True)
            (partial / "inner" / content).write_text(content)
    assert [path.name for path in (target / "inner").iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(Killed), whole_folder(target) as partial:
        partial.mkdir()
        (partial / "half").touch()
        raise Killed
    assert [path.name for path in target.iterdir()] == ["old"] and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("survived", [0, 1])
def test_killed_while_swapping_folders_never_leaves_half_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "old").touch()
    replace, calls = os.replace, 0

    def killed(source: Path, goal: Path) -> None:
        nonlocal calls
        calls += 1
        if calls > survived:
            raise Killed
        replace(source, goal)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Killed), whole_folder(target) as partial:
        partial.mkdir()
        (partial / "new").touch()
    assert not target.exists() or [path.name for path in target.iterdir()] == ["old"]


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".file.partial").touch()
    (tmp_path / ".folder.partial").mkdir()
    (tmp_path / "file").touch()
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_log_grows_by_whole_lines(tmp_path: Path) -> None:
    append_lines(tmp_path / "log", ["one", "é"])
    append_lines(tmp_path / "log", [])
    append_lines(tmp_path / "log", iter(["three"]))
    assert (tmp_path / "log").read_text(encoding="utf-8") == "one\né\nthree\n"


def test_what_cannot_be_written_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    sentence = re.escape(f"{target} can't be written (No space left on device): ")
    with pytest.raises(UserError, match=sentence + "make room"), whole_file(target) as partial:
        partial.write_text("new")
    with pytest.raises(UserError, match=sentence + "elsewhere"), whole_file(target, "elsewhere") as partial:
        partial.write_text("new")
    folder = tmp_path / "folder"
    with pytest.raises(UserError, match="folder can't be written"), whole_folder(folder) as partial:
        partial.mkdir()
        (partial / "inner").touch()
    with pytest.raises(UserError, match="log can't be written"):
        append_lines(tmp_path / "log", ["line"])
    assert target.read_text() == "old" and {path.name for path in tmp_path.iterdir()} == {"file", "log"}


def test_what_cannot_be_removed_is_named_and_what_is_not_there_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("file", "folder", "file", "link"):
        remove(tmp_path / name)
    assert [*tmp_path.iterdir()] == [tmp_path / "elsewhere"]

    def denied(path: Path, missing_ok: bool) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "unlink", denied)
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'file'} can't be removed (Permission")):
        remove(tmp_path / "file")


def test_a_file_that_is_read_meanwhile_keeps_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "target") as partial:
        shutil.copyfile(tmp_path / "source", partial)


def test_a_copied_folder_has_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "inner").mkdir(parents=True)
    (tmp_path / "a" / "inner" / "file").write_text("x")
    copied(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "inner" / "file").read_text() == "x"


def test_what_writers_of_other_languages_say_is_understood(tmp_path: Path) -> None:
    sentence = r"tokenizer can't be written \(No space left on device\)"
    with pytest.raises(UserError, match=sentence), whole_file(tmp_path / "tokenizer"):
        raise Exception("No space left on device (os error 28)")
    with pytest.raises(Exception, match="something else"), whole_file(tmp_path / "tokenizer"):
        raise Exception("something else")


def test_the_folder_that_one_stands_in_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    for target in (Path("."), inner, Path(".."), Path("../../outer"), Path("/")):
        with pytest.raises(UserError, match="is the folder that this command runs in"), whole_folder(target):
            pytest.fail("nothing is written")
    with whole_folder(Path("../other")) as partial:
        partial.mkdir()
    assert inner.is_dir() and (inner.parent / "other").is_dir()


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for target in (Path("."), tmp_path, Path("/")):
        with pytest.raises(UserError, match=r"can't be written \(Is a directory\)"), whole_file(target):
            pytest.fail("nothing is written")


def test_a_place_below_a_file_or_one_that_is_closed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for writing in (whole_file, whole_folder):
        place = tmp_path / "file" / "a" / "b" / "c"
        with pytest.raises(UserError, match=r"can't be written \(Not a directory\)"), writing(place):
            pytest.fail("nothing is written")

    def denied(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / "closed"))

    monkeypatch.setattr(Path, "mkdir", denied)
    place = tmp_path / "closed" / "a" / "b" / "c"
    with pytest.raises(UserError, match=r"c can't be written \(Permission denied\)"), whole_file(place):
        pytest.fail("nothing is written")

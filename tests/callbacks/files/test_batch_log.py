"""Logs that were killed while growing; the curve's and the trees' tests resume whole runs."""

from pathlib import Path

import pytest

from callbacks.files.batch_log import cut_to, cut_torn_line, take_up
from flowdpo_pl.errors import UserError
from tests.callbacks.playing import trainer

WHOLE = "4 four\n8 é\n12 twelve\n"


def position(line: str) -> int:
    return int(line.split()[0])


@pytest.mark.parametrize("cut", range(len(WHOLE.encode()) + 1))
def test_a_log_killed_at_any_byte_keeps_its_whole_lines(tmp_path: Path, cut: int) -> None:
    log, content = tmp_path / "log", WHOLE.encode()[:cut]
    log.write_bytes(content)
    cut_torn_line(log)
    assert log.read_bytes() == content[: content.rfind(b"\n") + 1]


@pytest.mark.parametrize(("seen", "kept"), [(0, 0), (4, 1), (11, 2), (12, 3), (99, 3)])
@pytest.mark.parametrize("torn", ["", "16 six"])
def test_lines_up_to_the_cursor_stay(tmp_path: Path, seen: int, kept: int, torn: str) -> None:
    log = tmp_path / "log"
    log.write_text(WHOLE + torn, encoding="utf-8")
    cut_to(log, seen, position)
    assert log.read_text(encoding="utf-8") == "".join(WHOLE.splitlines(keepends=True)[:kept])
    assert list(tmp_path.iterdir()) == [log]


@pytest.mark.parametrize("content", [b"4 four\nfive\n", b"4 four\n5 \xff\n", b"4 four\ninf\n"])
def test_a_foreign_line_leaves_the_log_as_it_was(tmp_path: Path, content: bytes) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    with pytest.raises(UserError, match=r"log, line 2: not a line of this log .*move the file away"):
        cut_to(log, 4, lambda line: int(float(line)) if line == "inf\n" else position(line))
    assert log.read_bytes() == content


def test_without_a_log_there_is_nothing_to_cut_or_take_up(tmp_path: Path) -> None:
    log, resumed = tmp_path / "run" / "log", list[Path]()
    cut_to(log, 4, position)
    cut_torn_line(log)
    take_up(trainer(tmp_path), log, resumed.append)
    assert log.parent.is_dir() and not log.exists() and resumed == []


def test_what_is_taken_up_is_whole(tmp_path: Path) -> None:
    log, resumed = tmp_path / "log", list[str]()
    log.write_text(WHOLE + "16 six", encoding="utf-8")
    take_up(trainer(tmp_path), log, lambda path: resumed.append(path.read_text(encoding="utf-8")))
    assert resumed == [WHOLE]

"""A child's output is in its log, its failure is told, and it never outlives its parent's interest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flowdpo_pl.errors import UserError
from flowdpo_pl.verbs.stage_run import last_line, run_logged


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def ignored(line: str) -> None:
    """The usual `watch`."""


def test_output_and_errors_are_appended_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "new" / "log.txt"
    run_logged(python("print('out')"), log, "a", ignored)
    run_logged(python("import sys; print('err', file=sys.stderr)"), log, "a", ignored)
    assert log.read_text() == "out\nerr\n"


def test_a_failure_is_told_by_its_last_line_or_else_by_its_code(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^stage x failed \(no such luck\): see .*log.txt$"):
        run_logged(python("import sys; sys.exit('no such luck')"), tmp_path / "log.txt", "stage x", ignored)
    with pytest.raises(UserError, match=r"stage y failed \(7\)"):
        run_logged(python("import sys; sys.exit(7)"), tmp_path / "other.txt", "stage y", ignored)


def test_the_last_line_is_watched_while_the_child_runs(tmp_path: Path) -> None:
    seen: list[str] = []

    def watch(line: str) -> None:
        seen.append(line)
        if line == "ready":
            (tmp_path / "go").touch()

    program = (
        "import pathlib, sys, time\n"
        "print('ready', flush=True)\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
    )
    run_logged([*python(program), str(tmp_path / "go")], tmp_path / "log.txt", "a", watch)
    assert seen[-1] == "ready"


def test_a_child_is_interrupted_and_waited_for_when_its_watcher_gives_up(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    pathlib.Path(sys.argv[1]).touch()\n"
    )

    def watch(line: str) -> None:
        if line == "ready":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_logged([*python(program), str(tmp_path / "saved")], tmp_path / "log.txt", "a", watch)
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize(
    ("content", "line"),
    [("", ""), ("one\ntwo\n\n  \n", "two"), ("10 %\r20 %\r30 %", "30 %"), ("x" * 9999 + "\nend", "end")],
)
def test_the_last_line_that_says_something(tmp_path: Path, content: str, line: str) -> None:
    (tmp_path / "log.txt").write_text(content, newline="")
    assert last_line(tmp_path / "log.txt") == line

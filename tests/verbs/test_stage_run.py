"""A child's output is in its log, its failure is told, and it never outlives its parent's interest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flowdpo_pl.errors import Interrupted, UserError
from flowdpo_pl.verbs.stage_run import EndSignals, last_line, run_logged
from tests.runs import ROOT


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def run(command: list[str], log: Path, name: str, watch: Callable[[str], None] = lambda line: None) -> None:
    with EndSignals() as signals:
        run_logged(command, log, name, watch, signals)


def test_output_and_errors_are_appended_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "new" / "log.txt"
    run(python("print('out')"), log, "a")
    run(python("import sys; print('err', file=sys.stderr)"), log, "a")
    assert log.read_text() == "out\nerr\n"


def test_a_failure_is_told_by_its_last_line_or_else_by_its_code(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^stage x failed \(no such luck\): see .*log.txt$"):
        run(python("import sys; sys.exit('no such luck')"), tmp_path / "log.txt", "stage x")
    with pytest.raises(UserError, match=r"stage y failed \(7\)"):
        run(python("import sys; sys.exit(7)"), tmp_path / "other.txt", "stage y")


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
    run([*python(program), str(tmp_path / "go")], tmp_path / "log.txt", "a", watch)
    assert seen[-1] == "ready"


WAITING = (
    "import pathlib, sys, time\n"
    "try:\n"
    "    print('ready', flush=True)\n"
    "    time.sleep(60)\n"
    "except KeyboardInterrupt:\n"
    "    pathlib.Path(sys.argv[1]).touch()\n"
    "    sys.exit(int(sys.argv[2]))\n"
)


def test_a_child_is_interrupted_and_waited_for_when_its_watcher_gives_up(tmp_path: Path) -> None:
    def watch(line: str) -> None:
        if line == "ready":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run([*python(WAITING), str(tmp_path / "saved"), "0"], tmp_path / "log.txt", "a", watch)
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_asks_this_program_to_end_interrupts_the_child(number: int, tmp_path: Path) -> None:
    def watch(line: str) -> None:
        if line == "ready" and not sent:
            sent.append(line)
            os.kill(os.getpid(), number)

    sent: list[str] = []
    with pytest.raises(Interrupted) as ended:
        run([*python(WAITING), str(tmp_path / "saved"), "130"], tmp_path / "log.txt", "a", watch)
    assert ended.value.code == 128 + number and (tmp_path / "saved").exists()


def test_a_child_that_comes_to_its_end_all_the_same_is_done_before_this_program_ends(tmp_path: Path) -> None:
    program = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('ready', flush=True); time.sleep(1); print('done')"
    )

    def watch(line: str) -> None:
        if line == "ready" and not signals.heard:
            os.kill(os.getpid(), signal.SIGTERM)

    with EndSignals() as signals:
        run_logged(python(program), tmp_path / "log.txt", "a", watch, signals)
        with pytest.raises(Interrupted):
            signals.end_if_heard()
    assert last_line(tmp_path / "log.txt") == "done"


@pytest.mark.parametrize(
    ("content", "line"),
    [("", ""), ("one\ntwo\n\n  \n", "two"), ("10 %\r20 %\r30 %", "30 %"), ("x" * 9999 + "\nend", "end")],
)
def test_the_last_line_that_says_something(tmp_path: Path, content: str, line: str) -> None:
    (tmp_path / "log.txt").write_text(content, newline="")
    assert last_line(tmp_path / "log.txt") == line


@pytest.mark.skipif(sys.platform != "linux", reason="the system must know how")
def test_a_child_is_ended_with_this_program_when_that_is_killed(tmp_path: Path) -> None:
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    program = (
        "import sys; from pathlib import Path\n"
        "from flowdpo_pl.verbs.stage_run import EndSignals, run_logged\n"
        f"command, log = [sys.executable, '-c', {child!r}], Path({str(tmp_path / 'log.txt')!r})\n"
        "run_logged(command, log, 'a', lambda line: print(line, flush=True), EndSignals())"
    )
    parent = subprocess.Popen(python(program), stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    pid = int(next(line for line in parent.stdout if line.strip()))
    parent.kill()
    parent.wait()
    state = Path(f"/proc/{pid}/stat")
    for _ in range(200):
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("it goes on")


def test_a_log_that_can_t_be_written_is_named_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = tmp_path / "ran"
    program = python(f"import pathlib; pathlib.Path({str(ran)!r}).touch()")
    for log in (tmp_path / "file" / "log.txt", tmp_path / "file" / "a" / "b" / "log.txt", tmp_path):
        with pytest.raises(
            UserError, match=rf"{log} can't be written \((File exists|(Not|Is) a directory)\)"
        ):
            run(program, log, "a")
    assert not ran.exists()

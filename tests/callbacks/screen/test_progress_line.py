"""The line at several widths; pace, end and switching off are also in the tests of its three kinds."""

from __future__ import annotations

import io
import re
from functools import partial

import pytest
import rich
from rich.console import Console

from callbacks.screen.progress_line import ProgressLine
from callbacks.screen.speed import Speed
from callbacks.watching.pace import Pace

HOW = ("right 58.7%", "over all 45.9%", "pairs answer 1,203, stop 1,140")


def shown(
    monkeypatch: pytest.MonkeyPatch, width: int, total: int | None = 395_000, done: int = 102_400
) -> list[str]:
    """The line as it stands before the end, and after it, at nine problems a second or so."""
    console, page = (
        Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None) for _ in "ab"
    )
    seconds = iter([0.0])
    clock = partial(next, seconds, done / 9.3)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    monkeypatch.setattr("callbacks.screen.progress_line.Speed", partial(Speed, clock=clock))
    line = ProgressLine(Pace(160), "problems")
    line.start("fit", 0, total)
    line.show(done, total, "2,777 tokens/s", *HOW)
    with page.capture() as running:
        page.print(line)
    line.stop()
    with page.capture() as over:
        page.print(line)
    return [running.get().rstrip("\n"), over.get().rstrip("\n")]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize(("done", "total"), [(102_400, 395_000), (32, 1536)])
def test_bar_time_and_speeds_stay(width: int, done: int, total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    running, over = shown(monkeypatch, width, total, done)
    assert len(running) < width and "\n" not in running
    assert re.match(rf"fit {done}/{total} ━*─+ ", running)
    assert len(re.findall("[━─]", running)) >= 8
    assert re.search(r"─ [\d:d ]+ left  9\.3 problems/s  2,777 tokens/s", running)
    assert re.search(r"─ took 0:0\d  ", over)


def test_what_fits_follows_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = [
        sum(part in shown(monkeypatch, width, 1536, 32)[0] for part in HOW)
        for width in (40, 60, 80, 90, 100, 130, 200)
    ]
    assert fitted == sorted(fitted) and (fitted[2], fitted[-1]) == (1, 3)
    assert HOW[0] in shown(monkeypatch, 80, 1536, 32)[0]


def test_a_narrow_terminal_has_the_bar_and_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    running = shown(monkeypatch, 40, 1536, 32)[0]
    assert "─────" in running and running.endswith(" left") and len(running) < 40


def test_without_a_known_end_it_says_how_long_it_has_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    running = shown(monkeypatch, 80, total=None)[0]
    assert running.startswith("fit 102400 0:0") and " so far  " in running and not re.search("[━─]", running)


def test_an_estimate_that_was_too_low_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, 80, total=100, done=101)[0].startswith("fit 101 ━")


def test_a_log_file_has_everything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rich, "get_console", lambda: Console(width=80))
    line = ProgressLine(Pace(8), "problems")
    line.start("fit", 0, 16)
    for done in (4, 8, 12):
        line.show(done, 16, "2,777 tokens/s", *HOW)
    line.stop()
    line.stop()
    printed = capsys.readouterr().out.splitlines()
    assert [text.partition(" | ")[0] for text in printed] == ["fit 8/16 problems", "fit 12/16 problems"]
    middle = " | ".join(HOW)
    assert re.fullmatch(
        rf"fit 8/16 problems \| {re.escape(middle)} \| \S+ problems/s, 2,777 tokens/s \| 0:00 left",
        printed[0],
    )
    assert printed[1].endswith(" | took 0:00")

"""No character of data or models steers a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flowdpo_pl.__main__ import main
from flowdpo_pl.visible import visible, visible_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [bold]text[/bold]", "plain [bold]text[/bold]"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\rb\x07\x9b31m", "a\\rb\\x07\\x9b31m"),
        ("left\u202eright", "left\\u202eright"),
        ("half \ud800", "half \\ud800"),
        ("Größe, 你好, 3 ≤ 4, é", "Größe, 你好, 3 ≤ 4, é"),
        ("two\n\tlines", "two\n\tlines"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown


def test_on_one_line_there_is_one_line() -> None:
    assert visible_line("two\n\tlines\x1b") == "two\\n\\tlines\\x1b"


def test_an_error_that_names_a_value_is_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["flowdpo_pl", "compare", f"{tmp_path}/\x1b]0;title\x07", "b"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert "\x1b" not in str(stopped.value) and "\\x1b]0;title" in str(stopped.value)

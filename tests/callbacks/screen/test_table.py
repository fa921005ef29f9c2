from __future__ import annotations

import pytest

from callbacks.screen.table import print_rows


def test_names_and_texts_are_shown_as_they_are_and_without_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_rows("end", {"[b]name[/b]": "right\x1b[2J"})
    shown = capsys.readouterr().out
    assert "[b]name[/b]" in shown and "right" in shown and "\x1b[2J" not in shown

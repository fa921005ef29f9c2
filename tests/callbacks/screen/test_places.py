"""Where the line of progress is shown: one output of a notebook's cell, a terminal, or nowhere."""

from __future__ import annotations

import io
import sys
import types
from typing import Any

import pytest
import rich
from rich.console import Console
from rich.text import Text

from callbacks.screen.places import Notebook, Terminal, place_of


class Handle:
    """Keeps what was displayed in an output and what it was replaced by."""

    def __init__(self, shown: dict[str, str]) -> None:
        self.shown = [shown]

    def update(self, shown: dict[str, str], raw: bool) -> None:
        assert raw
        self.shown.append(shown)


@pytest.fixture
def handles(monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    """A notebook's display: its outputs, one after the other."""
    made: list[Handle] = []

    def display(shown: dict[str, str], raw: bool, display_id: bool) -> Handle:
        assert raw and display_id
        made.append(Handle(shown))
        return made[-1]

    module: Any = types.ModuleType("IPython.display")
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return made


def test_a_notebook_has_one_output_that_is_replaced(
    handles: list[Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([0.0, 0.1, 0.2, 0.6, 0.6, 0.7, 0.8])
    monkeypatch.setattr("callbacks.screen.places.time.monotonic", lambda: next(seconds))
    line = Text("fit 1/9", style="bold")
    place = Notebook(line)
    for count in (2, 3, 4, 5):
        line.plain = f"fit {count}/9"
        place.changed()
    line.plain = "fit 9/9"
    place.stop()
    (handle,) = handles
    assert [shown["text/plain"] for shown in handle.shown] == ["fit 1/9", "fit 4/9", "fit 9/9"]
    assert handle.shown[-1]["text/html"].startswith("<pre>") and "fit 9/9" in handle.shown[-1]["text/html"]


@pytest.mark.parametrize(
    ("console", "kind"),
    [
        (Console(file=io.StringIO(), force_jupyter=True), Notebook),
        (Console(file=io.StringIO(), force_terminal=True, force_jupyter=False), Terminal),
        (Console(file=io.StringIO(), force_jupyter=False), type(None)),
    ],
)
@pytest.mark.usefixtures("handles")
def test_the_console_says_where(console: Console, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rich, "get_console", lambda: console)
    place = place_of(Text("fit 1/9"))
    assert type(place) is kind
    if place is not None:
        place.stop()

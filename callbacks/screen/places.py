"""Where a line that changes is shown: on a terminal, or in a notebook; elsewhere nowhere."""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import RenderableType

_SECONDS = 0.5
"""Between two changes of a notebook's line."""
_COLUMNS = 110
"""Of a line in a notebook, which has no width of its own."""


class Place(Protocol):
    """Shows one line, which draws itself anew each time."""

    def changed(self) -> None:
        """There is something new to show."""

    def stop(self) -> None:
        """The line stays as it is now."""


class Terminal:
    """Draws the line twice a second."""

    def __init__(self, line: RenderableType) -> None:
        import rich
        from rich.live import Live

        self._live = Live(line, console=rich.get_console(), refresh_per_second=2)
        self._live.start()

    def changed(self) -> None:
        """It is drawn anyway."""

    def stop(self) -> None:
        self._live.stop()


class Notebook:
    """One output of the cell, which is replaced as the line changes, at most twice a second."""

    def __init__(self, line: RenderableType) -> None:
        self._line = line
        self._shown_at = time.monotonic()
        display = import_module("IPython.display").display  # no dependency: every notebook brings it
        self._handle: Any = display(self._drawn(), raw=True, display_id=True)

    def changed(self) -> None:
        if time.monotonic() - self._shown_at >= _SECONDS:
            self._show()

    def stop(self) -> None:
        self._show()

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        self._handle.update(self._drawn(), raw=True)

    def _drawn(self) -> dict[str, str]:
        """The line as HTML, and as text for what shows no HTML."""
        from io import StringIO

        from rich.console import Console

        console = Console(file=StringIO(), record=True, width=_COLUMNS, force_jupyter=False)
        console.print(self._line)
        html = console.export_html(inline_styles=True, code_format="<pre>{code}</pre>", clear=False)
        return {"text/plain": console.export_text().rstrip("\n"), "text/html": html}


def place_of(line: RenderableType) -> Place | None:
    """Where a line that changes is shown here; None where only whole lines can be written."""
    import rich

    console = rich.get_console()
    if console.is_jupyter:
        return Notebook(line)
    return Terminal(line) if console.is_terminal else None

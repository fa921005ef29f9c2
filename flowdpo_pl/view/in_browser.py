"""A page that was written, shown in a browser where somebody sits."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path


def show_in_browser(page: Path) -> None:
    """Open the page, if this is a terminal with a display: else a browser of the terminal might start, and
    wait."""
    displays = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.stdout.isatty() and (sys.platform == "darwin" or any(map(os.environ.get, displays))):
        webbrowser.open(page.resolve().as_uri())

"""What is printed, taken for a look at it: without colours, so that any escape is a text's own."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from unittest.mock import patch

import rich
from rich.console import Console

_OBEYED = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Categories of characters that a terminal obeys or does not show."""
_HARMLESS = "\n\t\u200c\u200d"


@contextmanager
def taken_screen() -> Iterator[io.StringIO]:
    """The screen of the block, a terminal's for all that rich can see."""
    file = io.StringIO()
    console = Console(file=file, color_system=None, width=100, force_terminal=True)
    with patch.object(rich, "get_console", lambda: console), redirect_stdout(file), redirect_stderr(file):
        yield file


def obeyed(text: str) -> set[str]:
    """What of a text a terminal would obey, each as its escape."""
    if text.replace("\n", "").isprintable():
        return set()
    found = {one for one in set(text) if unicodedata.category(one) in _OBEYED and one not in _HARMLESS}
    return {one.encode("unicode_escape").decode("ascii") for one in found}

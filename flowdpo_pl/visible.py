"""Text of data and of models, made harmless for a terminal."""

from __future__ import annotations

import unicodedata

_HARMLESS = "\n\t\u200c\u200d"
"""Of these categories: they part lines, or join letters."""
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Categories of characters that steer a terminal or are not seen: controls, formats (such as the turns of
writing direction), half characters, private ones, separators of lines."""


def visible(text: str) -> str:
    """The text with every character that a terminal would obey or hide as its escape, such as `\\x1b`.

    Line feeds, tabs and joiners of letters stay.
    """
    if text.replace("\n", "").replace("\t", "").isprintable():  # none of these categories is
        return text
    return "".join(_escaped(one) if unicodedata.category(one) in _UNSEEN else one for one in text)


def visible_line(text: str) -> str:
    """The same on one line: its line feeds and tabs are escapes too."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _escaped(character: str) -> str:
    return character if character in _HARMLESS else character.encode("unicode_escape").decode("ascii")

"""Values as JSON, and texts, readable and fit for a UTF-8 file whatever a model has written."""

from __future__ import annotations

import json
import re

_HALF = re.compile("[\ud800-\udfff]")


def json_text(value: object) -> str:
    """JSON on one line, its letters as they are; half characters, which UTF-8 does not have, as escapes."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isascii() else _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def whole_text(text: str) -> str:
    """The text with half characters as their escapes, such as `\\ud800`."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()

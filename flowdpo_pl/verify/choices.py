r"""Reads the letter of a multiple choice: `B`, `(B)`, `\textbf{(B) }42`, `B. 42`."""

from __future__ import annotations

import re

_BOLD = re.compile(
    r"\\(?:text|textbf|textrm|textit|textnormal|mathbf|mathrm|mbox|bf|boldsymbol)\s*\{([^{}]*)\}|\*\*([^*]*)\*\*|\$([^$]*)\$"
)
_CHOICE = re.compile(
    r"\s*(?:(?:option|choice)\s+)?(?:\(\s*(?P<round>[A-Ja-j])\s*\)|\[\s*(?P<square>[A-J])\s*\]"
    r"|(?P<bare>[A-J])(?=\s*\Z|[).:](?:[\s~]|\\[ ,;:]|\Z)))[).:]?(?:[\s~]|\\[ ,;:!]|\\q?quad)*(?P<rest>.*)",
    re.DOTALL | re.IGNORECASE,
)
_NO_REST = re.compile(
    r"[+*/^=<>&,_|!')]|-(?!\s*[\d.$\\])|(?:and|or|und|oder|not)\b|\\(?:cup|cap|to|text)|.*?\([A-Ja-j]\)",
    re.DOTALL,
)


def read_choice(text: str) -> tuple[str, str] | None:
    """The letter, in upper case, and what follows it; None if `text` is no single choice."""
    if len(text) > 200:
        return None
    plain = _BOLD.sub(
        lambda match: next(group for group in match.groups() if group is not None), text, count=2
    )
    match = _CHOICE.fullmatch(plain)
    if match is None:
        return None
    letter, rest = match["round"] or match["square"] or match["bare"], match["rest"].strip()
    if (match["bare"] and letter.islower()) or _NO_REST.match(rest):
        return None
    return letter.upper(), rest

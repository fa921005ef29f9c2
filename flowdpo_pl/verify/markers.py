r"""Finds explicitly marked answers in a text: `\boxed{42}`, `#### 42`, 'The answer is 42.' and the like.

`find_marked` reads what a model wrote: the strongest marker counts, if what follows looks like an answer.
`last_box` and `after_last` read a data set's solution, whose one convention is known.

Every step is linear in the text's length, for the text may be a model's endless repetition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

LONGEST_ANSWER = 500
"""Characters; what is longer is no answer but babble."""


class Strength(IntEnum):
    """How strongly a marker claims to hold the final answer."""

    PHRASE = 0
    """'The answer is ...'"""
    LINE = 1
    """'Answer: ...', or a last line 'A: ...'"""
    FINAL = 2
    r"""`\boxed{...}`, '#### ...', 'the final answer is ...'"""


@dataclass(frozen=True, slots=True)
class Marked:
    """An answer behind an explicit marker."""

    strength: Strength
    start: int
    """Character position of the marker in its text."""
    text: str
    known: bool = True
    """Whether math-verify's own extraction looks for this marker too."""
    parts: int = 1
    """Boxes in the text, if this is one of them: several make up one answer."""


_BOX_OR_BRACE = re.compile(r"(?P<box>\\(?:boxed|fbox)\s*\{)|\\.|(?P<open>\{)|(?P<close>\})", re.DOTALL)
_BARE_BOX = re.compile(r"\\boxed\s*(?P<word>\w+)")
_PHRASE = re.compile(
    r"(?<![a-z])(?P<final>final\s*)?answers?(?:\*\*)?(?:(?P<colon>\s*:)|\s*=|\s*(?:is|are)(?![a-z])"
    r"|(?![a-z])[^\n.:?!=]{0,60}?\s(?:is|are)(?![a-z]))[\s:*]*",
    re.IGNORECASE,
)
# Neither a heading (`#### Step 1`, `#### 1. Setup`) nor anything else that doesn't begin with a number.
_HASHES = re.compile(r"####[ \t]*(?!\d+[.):]\s)(?=[-+$€£\\]*\.?\d)(?P<rest>[^\n]+)")
_LAST_LINE = re.compile(r"^[ \t*]*A:[ \t*]*(?P<rest>\S[^\n]*)\s*\Z", re.MULTILINE)
# A delimited formula that ends its sentence; `$` after a space or before a digit is money.
_DELIMITED = re.compile(
    r"(?:\$\$(?P<display>[^$]{1,500})\$\$|\$(?!\s)(?P<inline>[^$\n]{1,500})(?<!\s)\$(?!\d)"
    r"|\\\((?P<round>[^\n]{1,500}?)\\\)|\\\[(?P<square>.{1,500}?)\\\])[*\s]*(?:\.(?=\s|\Z)|\n|\Z)",
    re.DOTALL,
)
_MATHEMATICS = re.compile(r"[\d\\]")
_SENTENCE_END = re.compile(r"[.!?](?=[\s*]|\Z)")


def extract_marked(text: str) -> str | None:
    r"""The answer behind an explicit marker, or None: never a guess from the last number.

    Markers: `\boxed{...}`, `#### N`, '(final) answer is ...', 'Answer: ...', a last line 'A: ...'. Text up
    to a closing `</think>` is reasoning and holds no answer.
    """
    marked = find_marked(after_reasoning(text))
    return marked.text if marked else None


def after_reasoning(text: str) -> str:
    """What follows the closing tag of a reasoning model's thoughts; all of a text without one."""
    return text.rpartition("</think>")[2]


def find_marked(text: str) -> Marked | None:
    """The strongest marked answer; of equally strong ones the last."""
    return max(_all_marked(text), key=lambda marked: (marked.strength, marked.start), default=None)


def last_box(text: str) -> str | None:
    r"""What the last `\boxed{...}` (or `\boxed 2`) holds; None if it is empty, never closed, or not there."""
    start = text.rfind(r"\boxed")
    if start < 0:
        return None
    text = text[start:]
    if bare := _BARE_BOX.match(text):
        return bare["word"]
    return next((text[inside].strip() for begin, inside in _boxes(text) if begin == 0), None) or None


def after_last(mark: str, text: str) -> str | None:
    """What follows the last `mark` on its line; None if that is nothing, or there is no mark."""
    _, found, rest = text.rpartition(mark)
    return (rest.partition("\n")[0].strip() or None) if found else None


def trim(text: str) -> str:
    """`text` without the spaces, asterisks and full stop around it."""
    return text.strip().strip("*").rstrip(".,;").strip()


def _all_marked(text: str) -> Iterator[Marked]:
    if boxes := _boxes(text):
        start, inside = boxes[-1]
        yield Marked(Strength.FINAL, start, text[inside].strip(), parts=len(boxes))
    for phrase in _PHRASE.finditer(text):
        if content := _clause(text, phrase.end()):
            yield Marked(_strength(phrase, content), phrase.start(), content)
    for hashes in _HASHES.finditer(text):
        yield Marked(Strength.FINAL, hashes.start(), trim(hashes["rest"]), known=False)
    if line := _LAST_LINE.search(text):
        yield Marked(Strength.LINE, line.start(), trim(line["rest"]), known=False)


def _strength(phrase: re.Match[str], content: str) -> Strength:
    # 'The final answer is positive' behind a box is a remark.
    if phrase["final"] and _MATHEMATICS.search(content):
        return Strength.FINAL
    return Strength.LINE if phrase["colon"] else Strength.PHRASE


def _boxes(text: str) -> list[tuple[int, slice]]:
    r"""Where each complete, non-empty `\boxed{...}` starts and what is inside, in order of their ends."""
    found: list[tuple[int, slice]] = []
    opened: list[re.Match[str]] = []
    for match in _BOX_OR_BRACE.finditer(text):
        if match["box"] or match["open"]:
            opened.append(match)
        elif match["close"] and opened:
            opener = opened.pop()
            if opener["box"] and opener.end() < match.start():
                found.append((opener.start(), slice(opener.end(), match.start())))
    return found


def _clause(text: str, start: int) -> str:
    """From `start` to the end of the formula, the sentence or the line that begins there."""
    if formula := _DELIMITED.match(text, start):
        return next(group for group in formula.groups() if group).strip()
    line = text[start : start + LONGEST_ANSWER].partition("\n")[0]
    sentence_end = _SENTENCE_END.search(line)
    return trim(line[: sentence_end.start()] if sentence_end else line)

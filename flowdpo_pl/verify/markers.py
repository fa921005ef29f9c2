r"""Finds explicitly marked answers in a text: `\boxed{42}`, `#### 42`, 'The answer is 42.' and the like.

One reader for what a model wrote and for a data set's own solution: the strongest marker counts, if what
follows looks like an answer. `last_hashes` and `after_last` read a solution by one convention that is known.

Every step is linear in the text's length, for the text may be a model's endless repetition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from flowdpo_pl.verify.boxes import last_box
from flowdpo_pl.verify.reasoning import final_part

LONGEST_ANSWER = 500
"""Characters; what is longer is no answer but babble, or a number."""
MOST_DIGITS = 20_000
"""Of such a number."""


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
    whole: str | None = None
    r"""The answer with all its parts, `\boxed{1}, \boxed{2}`, if it stands in several boxes."""


_PHRASE = re.compile(
    r"(?<![a-z])(?P<final>final\s*)?answers?(?:\*\*)?(?:(?P<colon>\s*:)|\s*=|\s*(?:is|are)(?![a-z])"
    r"|(?![a-z])[^\n.:?!=]{0,60}?\s(?:is|are)(?![a-z]))[\s:*]*",
    re.IGNORECASE,
)
_HASHES = re.compile(r"(?<!#)####(?!#)[ \t]*(?P<rest>\S[^\n]*)")
# Neither a heading (`#### Step 1`, `#### 1. Setup`) nor anything else that doesn't begin like a formula ...
_FORMULA_FIRST = re.compile(
    r"(?!\d+[.):]\s)[-+\u2212\u2013\u2014$€£¥₹(\[{*~≈ ]*(?:\.?\d|[½⅓⅔¼¾]|\\[A-Za-z({])"
)
# ... counts, unless the text ends there: `#### B`, `#### yes`.
_HEADING = re.compile(
    r"\d+[.):]\s|(?:step|part|conclusion|summary|solution|explanation|result|check|(?:final )?answer)\b",
    re.I,
)
_LAST_LINE = re.compile(r"^[ \t*]*A:[ \t*]*(?P<rest>\S[^\n]*)\s*\Z", re.MULTILINE)
# A delimited formula that ends its sentence; `$` after a space or before a digit is money.
_DELIMITED = re.compile(
    r"(?:\$\$(?P<display>[^$]{1,500})\$\$|\$(?!\s)(?P<inline>[^$\n]{1,500})(?<!\s)\$(?!\d)"
    r"|\\\((?P<round>[^\n]{1,500}?)\\\)|\\\[(?P<square>.{1,500}?)\\\])[*\s]*(?:\.(?=\s|\Z)|\n|\Z)",
    re.DOTALL,
)
_MATHEMATICS = re.compile(r"[\d\\]")
_DENIED = re.compile(
    r"(?:\b(?:not|never|false|wrong|incorrect|doubt|unlikely)|n't)\s(?:(?!\bbut\b|\bsure\b|\bonly\b)[^.!?\n,;:])*\Z",
    re.IGNORECASE,
)
_BEGINNING = re.compile(rf"[^\n]{{0,{LONGEST_ANSWER}}}(?:(?<=\d)\d{{0,{MOST_DIGITS}}})?")
"""Of a line; no number is cut."""
_SENTENCE_END = re.compile(r"[.!?](?=[\s*]|\Z)")
_TITLE = re.compile(
    r"(?<![A-Za-z])(?:dr|mr|mrs|ms|prof|st|mt|gen|capt|sgt|col|sen|rep|gov|rev)\.\Z", re.IGNORECASE
)
# What goes on with a number or in lower case after one of these goes on in the same sentence.
_ABBREVIATION = re.compile(
    r"(?<![A-Za-z])(?:approx|appr|ca|c|circa|est|no|nr|nos|num|vs|eq|fig|resp|incl|max|min|avg|vol|ch|p|pp|rs|sq|cu|ft|in|yd"
    r"|mi|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|lb|lbs|oz|gal|hr|hrs|mins|sec|secs|e\.g|i\.e|etc|z\.b|d\.h|bzw|ungef|abt|(?:[A-Za-z]\.)+[A-Za-z])\.\Z",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"[\s*]+(?:[-+$€£¥₹~≈(]*\\?[$(]?\s?\.?\d|[a-z]|\\frac)")


def extract_marked(text: str) -> str | None:
    r"""The answer behind an explicit marker, or None: never a guess from the last number.

    Markers: `\boxed{...}`, `#### N`, '(final) answer is ...', 'Answer: ...', a last line 'A: ...'. What
    stands between `<think>` and `</think>`, or after a `<think>` that is never closed, holds no answer; nor
    does what stands before the last 100,000 characters.
    """
    marked = find_marked(final_part(text))
    return marked.text if marked else None


def find_marked(text: str) -> Marked | None:
    """The strongest marked answer; of equally strong ones the last."""
    return max(_all_marked(text), key=lambda marked: (marked.strength, marked.start), default=None)


def first_marked(text: str) -> Marked | None:
    """The marked answer that comes first, however strong; of boxes the last one alone is seen."""
    return min(_all_marked(text), key=lambda marked: marked.start, default=None)


def last_hashes(text: str) -> str | None:
    """What follows the last `####` that marks an answer and no heading; None if there is none."""
    return max(_hashes(text), default=(0, None))[1]


def after_last(mark: str, text: str) -> str | None:
    """The answer that follows the last `mark` on its line; None if that is nothing, or there is no mark."""
    _, found, rest = text.rpartition(mark)
    line = rest.partition("\n")[0]
    return (_clause(line, len(line) - len(line.lstrip(" \t:*"))) or None) if found else None


def trim(text: str) -> str:
    """`text` without the spaces, asterisks, backticks and full stop around it."""
    return text.strip().strip("*`").rstrip(".,;").strip()


def _all_marked(text: str) -> Iterator[Marked]:
    if box := last_box(text):
        yield Marked(Strength.FINAL, box.start, box.text, whole=box.joined if len(box.parts) > 1 else None)
    for phrase in _PHRASE.finditer(text):
        if content := _clause(text, phrase.end()):
            if _DENIED.search(text, max(0, phrase.start() - 60), phrase.start()):
                content = f"not {content}"  # 'I do not think that the answer is 5'
            yield Marked(_strength(phrase, content), phrase.start(), content)
    for start, content in _hashes(text):
        yield Marked(Strength.FINAL, start, content, known=False)
    if line := _LAST_LINE.search(text):
        yield Marked(Strength.LINE, line.start(), trim(line["rest"]), known=False)


def _hashes(text: str) -> Iterator[tuple[int, str]]:
    """Position and answer of each `####` that is no heading."""
    end = len(text.rstrip())
    for hashes in _HASHES.finditer(text):
        rest = trim(hashes["rest"])
        last = hashes.end() >= end and not _HEADING.match(rest) and not rest.endswith(":")
        if rest and (last or _FORMULA_FIRST.match(hashes["rest"])):
            yield hashes.start(), rest


def _strength(phrase: re.Match[str], content: str) -> Strength:
    # 'The final answer is positive' behind a box is a remark.
    if phrase["final"] and _MATHEMATICS.search(content):
        return Strength.FINAL
    return Strength.LINE if phrase["colon"] else Strength.PHRASE


def _clause(text: str, start: int) -> str:
    """From `start` to the end of the formula, the sentence or the line that begins there."""
    if formula := _DELIMITED.match(text, start):
        return next(group for group in formula.groups() if group).strip()
    line = _BEGINNING.match(text, start)[0]  # type: ignore[index]  # it matches anything
    for end in _SENTENCE_END.finditer(line):
        if not _goes_on(line, end.end()):
            return trim(line[: end.start()])
    return trim(line)


def _goes_on(line: str, end: int) -> bool:
    """Whether the full stop before `end` belongs to an abbreviation, and the sentence goes on."""
    word = line[max(0, end - 12) : end]
    return bool(_TITLE.search(word) or (_ABBREVIATION.search(word) and _GOES_ON.match(line, end)))

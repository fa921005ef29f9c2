"""Tells answers that may be more than one, or none: `between 5 and 6`, `5 and a half`, `not 5`.

A false reward is worse than a missed one, so that nothing is read in them.
"""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(?<![A-Za-z\d])-?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:/\d+)?")
_DENIAL = re.compile(
    r"\b(?:not|never|cannot|neither|nor|isn|aren|wasn|can'?t|couldn|no\s+longer|anything\s+but|other\s+than"
    r"|different\s+from|except|wrong|incorrect|false|unlikely|excluded|nicht|kein\w*)\b|n't\b|≠|\\neq?\b|!=",
    re.IGNORECASE,
)
_UNCLEAR = re.compile(
    r"\d\s*\\[,;:! ]\s*\d|\d\s*(?:\\[,;: ])?\s*\\(?:text|mathrm|textrm|mbox)\s*\{\s*[kMB]\s*\}"
    r"|\d\s*mil\b|\A\s*(?:[<>≤≥]|\\[lg](?:eq?|t)\b)"
)
_BOUND = re.compile(
    r"\b(?:less|more|fewer|greater|smaller|larger|bigger|higher|lower)\s+than\s+[-$\d]|\bbelow\b|\babove\b|[<>]"
)
_DENIED_REST = re.compile(
    r"[\s,;(-]+(?:and\s+|but\s+)?(?:not|never|rather than|instead of|since|because)\s", re.IGNORECASE
)
_CHANGED = (
    r"(?:and\s+(?:a|one)\s+)?(?:half|halves|thirds?|quarters?\b(?=\s+of)|fourths|fifths|sixths|sevenths|eighths|ninths|tenths"
    r"|\w+ieths|\w+teenths|hundredths|thousandths|millionths)|squared|cubed|factorial|pi|π|over|root|sqrt|choose|modulo"
)
_CHANGES = re.compile(
    rf"\d\s*[-\s]\s*(?:{_CHANGED})\b|\b(?:square|cube)\s+root\b|\bhalf\s+of\b", re.IGNORECASE
)
_DENIED_END = re.compile(
    r"(?:\b(?:not|never|cannot)|n't|≠|!=|\\neq?)\s+(?:(?:be|equals?|equal\s+to|is|a|an|the|really|just|exactly|about)\s+){0,3}"
    r"[-+$€£¥(\\]*\Z",
    re.IGNORECASE,
)
_OR_END = re.compile(r"\d\S*\s+or\s+[-+$€£¥(\\]*\Z", re.IGNORECASE)
_DELIMITERS = re.compile(r"(?<!\\)\$\S|\\\(|\\\[|\\boxed|\\fbox")


def without_denial(text: str) -> str:
    """`5` of `5, not 6`: what is denied, or given as a reason, after an answer is no part of it."""
    match = _DENIED_REST.search(text)
    answer = text[: match.start()] if match else ""
    return answer if any(map(str.isdigit, answer)) and not any(mark in answer for mark in ",;(") else text


def is_unclear(text: str) -> bool:
    r"""Whether a number is written in no known way: `12\,00`, `3\text{M}`, or is a mere bound, `> 5`."""
    return _UNCLEAR.search(text) is not None


def is_doubtful(text: str) -> bool:
    """Whether a marked answer in prose says more than one number, changes it in words, or denies it."""
    numbers = _NUMBER.findall(text)
    if not numbers or _DELIMITERS.search(text):
        return False
    if _DENIAL.search(text) or _CHANGES.search(text) or _BOUND.search(text):
        return True
    if "=" in text or ("(" in text and len(set(numbers)) == 1):
        return False  # 12 - 5 = 7 apples
    return len(set(numbers)) > 1


def is_doubtful_end(text: str) -> bool:
    """The same of an unmarked text, whose last number is taken for its answer."""
    if _DELIMITERS.search(text):
        return False
    end = text.rstrip()[-400:]
    numbers = list(_NUMBER.finditer(end))
    if not numbers:
        return False
    before, after = end[: numbers[-1].start()], end[numbers[-1].end() - 1 :]
    return bool(_DENIED_END.search(before) or _OR_END.search(before) or _CHANGES.match(after))

"""Tells answers that may be more than one, or none: `between 5 and 6`, `5 and a half`, `not 5`.

A false reward is worse than a missed one, so that nothing is read in them.
"""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(?<![A-Za-z\d])-?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:/\d+)?")
_DENIAL = re.compile(
    r"\b(?:not|never|cannot|neither|nor|isn|aren|wasn|can'?t|couldn|nicht|kein\w*)\b|n't\b|≠|\\neq?\b|!=",
    re.I,
)
_AFTER_ANSWER = re.compile(
    r"(?P<answer>[^,;(]*?\d[^,;(]*?)[\s,;(-]+(?:and\s+|but\s+)?(?:not|never|rather than|instead of)\s[^)]*\)?"
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
    """`5` of `5, not 6`: what is denied after an answer is no part of it."""
    match = _AFTER_ANSWER.fullmatch(text)
    return match["answer"] if match else text


def is_doubtful(text: str) -> bool:
    """Whether a marked answer in prose says more than one number, changes it in words, or denies it."""
    numbers = _NUMBER.findall(text)
    if not numbers or _DELIMITERS.search(text):
        return False
    if _DENIAL.search(text) or _CHANGES.search(text):
        return True
    if "=" in text or ("(" in text and len(set(numbers)) == 1):
        return False  # 12 - 5 = 7 apples
    return len(set(numbers)) > 1


def is_doubtful_end(text: str) -> bool:
    """The same of an unmarked text, whose last number is taken for its answer."""
    if _DELIMITERS.search(text):
        return False
    end = text.rstrip()[-400:]
    number = None
    for number in _NUMBER.finditer(end):
        pass
    if number is None:
        return False
    before, after = end[: number.start()], end[number.end() - 1 :]
    return bool(_DENIED_END.search(before) or _OR_END.search(before) or _CHANGES.match(after))

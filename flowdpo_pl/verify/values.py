r"""Reads an answer that is one quantity: a number, a fraction, both with a unit or a currency; exactly.

The text is one that `spelling.plain_spelling` has rewritten: no mixed numbers, no scale words, no odd signs.
"""

from __future__ import annotations

import re
from fractions import Fraction

_MOST_DIGITS = 400
"""Of a number; more are left to math-verify, in a process that can be killed."""

_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|mathbf|mathrm|mathit|bold|bf|textrm|mbox|textnormal|boldsymbol)\s*\{([^{}]*)\}"
    r"|\$([^$]*)\$|\\\((.*)\\\)|\\\[(.*)\\\]|\*\*(.*)\*\*|\(([^(),]*)\)|\[([^\[\],]*)\]|\{([^{},]*)\}|\\left\(([^(),]*)\\right\)"
)
_AROUND = re.compile(
    r"(?:approximately|approx\.?|about|around|roughly|ca\.?|circa|exactly|precisely|only|just|simply|equal to"
    r"|equals|a total of|total of|in total|no\.|nr\.|number|option|\\approx|\\sim|[≈~=:])[\s:]*",
    re.IGNORECASE,
)
_CURRENCY = r"(?:\\?\$|US\$|[€£¥₹₽₩]|(?:USD|EUR|GBP|INR|Rs\.?|CHF)\s)?\s?"
_WHOLE = r"(?:[1-9]\d{0,2}(?:,\d{3})+|(?:[1-9]\d{0,2})(?:,\\!\d{3})+|\d+)"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?)\s?{_CURRENCY}(?P<inner>-?)(?:"
    r"\\[dtc]?frac\s*(?:\{\s*(?P<above>-?\d+)\s*\}\s*\{\s*(?P<below>-?\d+)\s*\}|(?P<one>\d)\s*(?P<two>\d)(?!\d))"
    rf"|(?P<number>(?:{_WHOLE})(?:\.\d+|\.(?!\d))?|\.\d+)(?P<power>[eE][-+]?\d{{1,3}})?"
    r"(?:\s?/\s?(?P<divisor>-?\d+(?:\.\d+)?)(?![\d/.,]))?"
    r")(?!\s*[\d_!]|\s*\^(?!\s*\{?\s*\\circ))"
)
_SHORT = re.compile(
    r"[mgshlLJNWVACFK]|[ckmdn]m|[km]g|lb|oz|m[lL]|cl|dl|ft|yd|mi|hr|ms|Hz|kW|Pa|[GMkTK]B|pt|qt|sq|cu|[ap]m|[AP]M|kN"
    r"|in|of|to|at|on|by|as|is|he|it|we|a|an"
)
"""Words below three letters that may follow a number; others are variables, `5 xy`."""
_ATTACHED = re.compile(r"[ckm]m|[km]g|m[lL]|lbs?|oz|ft|hrs?|mins?|sec|[mk]ph|km/h|m/s|cents|ct|[GMkTK]B")
"""Units that may stand right behind a number; others are variables, `5x`."""
_NO_UNITS = re.compile(
    r"not|n't|no|nor|neither|never|without|or|and|half|halves|third|thirds|quarters?|fourths?|fifths?|sixths?|sevenths?|eighths?"
    r"|ninths?|tenths?|\w+ieths?|hundredths?|thousandths?|\w+teenths?|\w+millionths?|pi|π|sqrt|root|squared|cubed|factorial|log|ln"
    r"|exp|sin|cos|tan|mod|choose|times|plus|minus|over|divided|multiplied|percent|percentage|pct|percents|power|out|if|but|wrong"
    r"|incorrect|false|isn|doesn|remainder|score|gross|to|through|until|between|either|maybe|perhaps|possibly"
    r"|more|less|fewer|greater|smaller|than|least|most|cannot|can|base|nicht|kein|pas|ne|below|longer",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"\\(?:text|mathrm|textrm|textbf|mbox|textnormal|operatorname|rm)\s*\{(?P<text>[^{}\d]*)\}"
    r"|(?P<word>[^\W\d_]+)|(?P<degree>\^\s*\{?\s*\\circ\s*\}?|°|\\degree|\\circ)"
    r"|(?P<power>\^\s*\{?\s*-?[1-4]\s*\}?|[²³])|(?P<gap>\\[,;:! ]|~|\s+|[.,;*'\"()·-]|\\quad|\\cdot\b)"
    r"|(?P<per>/)|(?P<currency>\\?\$|[€£¥₹])"
)


def read_value(text: str) -> Fraction | None:
    """The exact value of `text`, if it is one number or fraction, with a unit or a currency or without.

    Percentages are None: 10% equals both 10 and 0.1 for math-verify, which is asked instead. So is what
    reads as a quantity and may be more: `5 or 6`, `5 and a half`, `5 x`, `5 not 6`.
    """
    if len(text) > 2 * _MOST_DIGITS:
        return None
    text = _unwrapped(text.strip())
    match = _NUMBER.match(text)
    if match is None or (match["sign"] and match["inner"]):
        return None
    if not _is_unit(text[match.end() :]):
        return None
    return _value(match)


def _unwrapped(text: str) -> str:
    """`text` out of dollar signs, brackets and bold type, and without 'about' and the like before it."""
    while True:
        text = text.strip().removesuffix("\\").rstrip()
        if match := _WRAPPED.fullmatch(text):
            inside = next((group for group in match.groups() if group is not None), "")
        elif match := _AROUND.match(text):
            inside = text[match.end() :]
        else:
            return text
        if not inside or len(inside) >= len(text):
            return text
        text = inside


def _is_unit(rest: str) -> bool:
    """Whether what follows a number is a unit or other words that leave its value alone."""
    if rest[:1].isalpha():
        attached = re.match(r"[A-Za-z/]+", rest)
        if attached is None or not _ATTACHED.fullmatch(attached[0].rstrip("/")):
            return False
    position, previous = 0, ""
    while match := _TOKEN.match(rest, position):
        kind, words = str(match.lastgroup), (match["word"] or match["text"] or "").replace("/", " ").split()
        if not all(map(_is_harmless, words)):
            return False
        if kind == "power" and previous not in ("word", "text"):
            return False
        if kind == "per" and previous not in ("word", "text", "power", "gap", "currency"):
            return False
        position, previous = match.end(), kind
    return position == len(rest)


def _is_harmless(word: str) -> bool:
    word = word.strip(".,;()'\"")
    is_variable = len(word) < 3 and word.isascii() and not _SHORT.fullmatch(word)
    return not is_variable and not _NO_UNITS.fullmatch(word)


def _value(match: re.Match[str]) -> Fraction | None:
    if sum(map(str.isdigit, match[0])) > _MOST_DIGITS:
        return None
    above, below = match["above"] or match["one"], match["below"] or match["two"]
    if above is None:
        above = match["number"].replace(",", "").replace("\\!", "").rstrip(".") + (match["power"] or "")
        below = match["divisor"] or "1"
    if abs(int((match["power"] or "e0")[1:])) > _MOST_DIGITS or not Fraction(below):
        return None
    value = Fraction(above) / Fraction(below)
    return -value if "-" in (match["sign"], match["inner"]) else value

r"""Rewrites the spellings of one number into one: `minus 5`; `12\,000`, `1'000`; `4 ¾`; `2 million`; `1e+20`.

math-verify reads some of these as other numbers (`12\,000` as 0, `4 3/4` as 3, `2 million` as 2), and that
without a word. The result is for reading only; what a data set or a model wrote is kept beside it.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from fractions import Fraction

_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("\u2212\ufe63\uff0d", "-"),  # minus signs; a hyphen of any width is one
        **dict.fromkeys("\u2010\u2011", "-"),
        **dict.fromkeys("\u00a0\u2007\u2008\u2009\u200a\u202f\u2002\u2003\u2004\u2005\u2006\u3000", " "),
        **dict.fromkeys("\u200b\u2060\ufeff\u200e\u200f", ""),
        **dict.fromkeys("\u2018\u2019\u02bc\uff07\u00b4", "'"),
        **{chr(0xFF10 + digit): str(digit) for digit in range(10)},
        **{chr(0x0660 + digit): str(digit) for digit in range(10)},  # Arabic-Indic
        **{chr(0x06F0 + digit): str(digit) for digit in range(10)},
        **{chr(0x0966 + digit): str(digit) for digit in range(10)},  # Devanagari
        **dict(
            zip(
                "\uff0b\uff0e\uff0c\uff05\uff04\uff08\uff09\uff0f\uff1d\u066b\u066c",
                "+.,%$()/=.,",
                strict=True,
            )
        ),
        "\u2044": "/",
        "\u2215": "/",
    }
)
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e\u2189]")
_SMALL_FRACTION = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+[\u2044/][₀₁₂₃₄₅₆₇₈₉]+")
_SUPERSCRIPT = re.compile(r"(?<=[\d)}])[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")

_GAP = r"\\[,;:! ]|\\thinspace\s*|\{\s?\\?,\s?\}(?:\\!)?|,\\!|~"
_GROUPED = re.compile(
    rf"(?<![\d.,'_])(?<!\d )(?P<lead>[1-9]\d{{0,2}})(?P<gap>\s*(?:{_GAP})\s*|[ '_])"
    r"(?P<rest>\d{3}(?:(?P=gap)\d{3})*)(?!\d|[ '_]\d|/)"
)
_INDIAN = re.compile(r"(?<![\d.,(\[{])[1-9]\d?(?:,\d\d)+,\d{3}(?![\d,)\]}])")
_EUROPEAN = re.compile(r"(?<![\d.,])(?P<whole>[1-9]\d{0,2}(?:\.\d{3})+),(?P<part>\d+)(?![\d,.]\d)")
_DOTTED = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3}){2,}(?![\d.,]\d)")

_MIXED = re.compile(
    r"(?<![\w.,/^*{\\])(?<!\d )(?P<whole>\d{1,9})(?:\s+|\s+and\s+)"
    r"(?P<above>\d{1,9})\s?/\s?(?P<below>\d{1,9})(?![\w/.]?\d|[ ]?/)"
)
_MIXED_LATEX = re.compile(
    r"(?<![\w.,/^*})])(?P<whole>\d{1,9})\s*\\[dtc]?frac\s*(?:\{\s*(?P<above>\d{1,9})\s*\}\s*\{\s*(?P<below>\d{1,9})\s*\}"
    r"|(?P<one>\d)(?P<two>\d))"
)
_PERCENT = re.compile(r"(?<=\d)\s?\\%")
_FLOAT = re.compile(r"(?<![\w.,\\{^])\d+(?:\.\d+)?[eE](?:[-+]\d{1,3}|\d{1,3})(?![\w.]?\d|[A-Za-z])")

_SIGN_WORD = re.compile(
    r"(?<![\w)}\]])(?<!\d )(?:minus|negative)\s+(?=\W{0,3}(?:\d|\.\d|\\[dtc]?frac))",
    re.I,
)
_SIGN_AWAY = re.compile(
    r"(?P<before>\A|[=:(\[{,]\s*|\b(?:is|are|be|equals|to|of)\s+|[$#*]\s*)-\s+(?=[$€£¥₹]?\d|\.\d|\\[dtc]?frac)"
)
_DASH = re.compile(r"(?<![\w)}\]%])(?<!\d )[\u2013\u2014\u2012]\s?(?=[$€£¥₹]?\.?\d|\\[dtc]?frac)")

_SCALES = {
    r"hundreds?|hundert": 2, r"thousands?|tausend": 3, r"lakhs?|lac": 5, r"crores?": 7,
    r"millions?|millionen|millones|millón|mn|mln|mio": 6, r"billions?|bn|bln|milliards?|milliarden?|mrd": 9,
    r"trillions?|tn": 12, r"quadrillions?": 15,
}  # fmt: skip
_SCALE_WORD = "|".join((*_SCALES, "dozens?"))
_SCALED = re.compile(
    r"(?<![\w.,/^\\{])(?:(?P<above>\d{1,9})/)?"
    r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,18}(?:\.\d{1,9})?|\.\d{1,9})\$?"
    r"(?:\s*\\[,;: ])?[\s~-]*(?P<open>\\(?:text|mathrm|textrm|mbox|textnormal)\s*\{\s*)?"
    rf"(?P<scale>{_SCALE_WORD})\b\.?(?P<close>\s*\}})?",
    re.IGNORECASE,
)
_MONEY_SCALED = re.compile(r"(?<=[$€£¥₹])\s?(?P<number>\d+(?:\.\d+)?)\s?(?P<scale>[kKmMbB])(?![A-Za-z])")
_LETTERS = {"k": 3, "m": 6, "b": 9}

_ROOT = re.compile(r"(?<![A-Za-z])(?:\\?sqrt|√)\s*\(")
_ROOT_SIGN = re.compile(r"√\s*(?P<inside>\d+|[A-Za-z])")


def plain_spelling(text: str) -> str:
    """`text` with each number in the plainest spelling of the same number; its words stay.

    Linear in the text's length. What could be two numbers (`1,22`) stays as it is.
    """
    if not text.isascii():
        text = _SMALL_FRACTION.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
        text = text.translate(_CHARACTERS)
        text = _VULGAR.sub(_vulgar, text)
        text = _SUPERSCRIPT.sub(lambda match: "^{" + match[0].translate(_SUPERSCRIPTS) + "}", text)
        text = _DASH.sub("-", text)
        text = _ROOT_SIGN.sub(r"\\sqrt{\g<inside>}", text)
    if "sqrt" in text or "√" in text:
        text = _brace_roots(text)
    if not any(map(str.isdigit, text)):
        return text
    text = _GROUPED.sub(lambda match: match["lead"] + re.sub(r"\D", "", match["rest"]), text)
    text = _INDIAN.sub(lambda match: match[0].replace(",", ""), text)
    text = _EUROPEAN.sub(lambda match: match["whole"].replace(".", "") + "." + match["part"], text)
    text = _DOTTED.sub(lambda match: match[0].replace(".", ""), text)
    text = _PERCENT.sub("%", text)
    text = _FLOAT.sub(lambda match: f"{Decimal(match[0]):f}", text)
    text = _SIGN_AWAY.sub(r"\g<before>-", _SIGN_WORD.sub("-", text))
    text = _MIXED_LATEX.sub(_mixed, _MIXED.sub(_mixed, text))
    return _MONEY_SCALED.sub(_scaled, _SCALED.sub(_scaled, text))


def _vulgar(match: re.Match[str]) -> str:
    above, _, below = unicodedata.normalize("NFKC", match[0]).partition("\u2044")
    before = match.string[match.start() - 1 : match.start()]
    return (" " if before.isdigit() else "") + f"{above}/{below}"


def _mixed(match: re.Match[str]) -> str:
    groups = match.groupdict()
    above, below = (
        int(groups.get(name) or groups[other]) for name, other in (("above", "one"), ("below", "two"))
    )
    if not 0 < above < below:
        return match[0]
    latex = "\\" in match[0]
    above += int(match["whole"]) * below
    return rf"\frac{{{above}}}{{{below}}}" if latex else f"{above}/{below}"


def _scaled(match: re.Match[str]) -> str:
    groups = match.groupdict()
    word = match["scale"].lower()
    power = _LETTERS.get(word) or next((n for names, n in _SCALES.items() if re.fullmatch(names, word)), None)
    number = Fraction(match["number"].replace(",", ""))
    if above := groups.get("above"):
        if not number:
            return match[0]
        number = int(above) / number
    number *= 12 if power is None else 10**power
    opened = (groups.get("open") or "") if not groups.get("close") else ""
    return str(number) + opened


def _brace_roots(text: str) -> str:
    r"""`\sqrt(2)` as `\sqrt{2}`: of `4\sqrt(2)` math-verify reads the 4 only."""
    pieces: list[str] = []
    position = 0
    for match in _ROOT.finditer(text):
        if match.start() < position:
            continue
        end = _closing(text, match.end())
        if end is not None:
            pieces += [text[position : match.start()], r"\sqrt{", text[match.end() : end], "}"]
            position = end + 1
    return "".join(pieces) + text[position:]


def _closing(text: str, start: int) -> int | None:
    """Where the bracket that is open at `start` closes, within 200 characters."""
    depth = 1
    for index in range(start, min(len(text), start + 200)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return None

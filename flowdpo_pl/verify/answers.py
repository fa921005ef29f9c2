"""Reads the answer of a text and decides plain cases without computer algebra.

What remains undecided here goes to math-verify as `Answer.readings`, strings in its own dialect: prose,
of which it takes the last number or delimited formula, or a formula between dollar signs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from flowdpo_pl.verify.markers import LONGEST_ANSWER, after_reasoning, find_marked, trim


@dataclass(frozen=True, slots=True)
class Answer:
    """What there is to judge in one text, a prediction or a gold answer."""

    text: str | None
    """The marked answer, or the whole text if nothing is marked; None: several boxes, one answer in parts."""
    number: Decimal | None
    """Its value if it is a plain number and nothing else."""
    readings: tuple[str, ...]
    """What math-verify shall parse, best first; a later one counts only if the earlier give nothing."""
    ambiguous: bool = False
    """Whether every reading counts: `1,22` is a list or a number with a decimal comma."""


_DIGITS_EXACT = 15
"""Numbers with more digits are left to math-verify, whose floats hold 15."""
_DECIMALS_EQUAL = Decimal("1e-5")
"""math-verify rounds to 6 decimals; unequal numbers closer than this are left to it."""

_NUMBER = re.compile(
    r"(?P<sign>[-+]?)(?:\\?\$|[€£¥])?(?P<inner>-?)"
    r"(?P<whole>[1-9]\d{0,2}(?:,\d{3})+|\d*)(?P<rest>\.\d+|\.(?!\d))?(?P<power>[eE][-+]?\d{1,2})?"
)
_LATEX_THOUSANDS = re.compile(r"(?<=\d)(?:,\\!|\{,\}(?:\\!)?)\s*(?=\d{3})")
_COMMA_PAIR = re.compile(r"-?\d+,\d+")
_HAS_DELIMITERS = re.compile(r"(?<!\\)\$|\\\(|\\\[|\\boxed|\\fbox")
_COMMAND = re.compile(r"\\[A-Za-z]+\s*(?:\{[^{}]*\})?")
_WORD = re.compile(r"[A-Za-z]{3,}")
_WORD_OF_FORMULAS = re.compile(r"(?:arc)?(?:sin|cos|tan)|cot|sec|csc|log|exp|sqrt|and", re.IGNORECASE)
_QUANTITY = re.compile(r"[-+$€£¥\d.,\s]*\d\s+[A-Za-z]+(?:\s*/\s*[A-Za-z]+)?[²³]?")
_FORMULA = re.compile(
    r"\\[A-Za-z{]|[\^_{}<>≤≥=!±√π∞]|\d:\d|\d[A-Za-z]|[A-Za-z]\d"  # \sqrt, x^2, 7:3, 2x
    r"|[A-Za-z)]\s*[-+*/]|[-+*/]\s*[A-Za-z(]"  # x + 1
    r"|[(\[]\s*-?[\d.]+\s*,|,\s|,\D|,\d{1,2}(?!\d)|\band\b"  # (1,2)
)


def read_answer(text: str) -> Answer:
    """What there is to judge in `text`: its marked answer, else all of it."""
    text = after_reasoning(text).strip()
    marked = find_marked(text)
    if marked is None:
        return _read_bare(text)
    if marked.parts > 1:
        return Answer(None, None, (text,))
    answer = _read_bare(marked.text)
    has_number = any(map(str.isdigit, marked.text))
    if not marked.known or answer.number is not None or _is_formula(marked.text) or not has_number:
        # math-verify would search the rest of the text too, for another formula or another number.
        return answer
    return replace(answer, readings=(text, *answer.readings))


def quick_verdict(prediction: Answer, gold: Answer) -> bool | None:
    """The verdict where it is certain, None where math-verify must decide."""
    if not prediction.readings:
        return False
    if prediction.text and prediction.text == gold.text:
        return True
    if prediction.number is None or gold.number is None:
        return None
    if prediction.number == gold.number:
        return True
    whole = all(number == number.to_integral_value() for number in (prediction.number, gold.number))
    return False if whole or abs(prediction.number - gold.number) > _DECIMALS_EQUAL else None


def plain_number(text: str) -> Decimal | None:
    """The value of a text that is one plain number (thousands separators and a currency sign allowed).

    Percentages are None: 10% equals both 10 and 0.1 for math-verify, which is asked instead.
    """
    text = _LATEX_THOUSANDS.sub("", text.strip())
    if len(text) > 2 and text[0] == text[-1] == "$":
        text = text[1:-1].strip()
    match = _NUMBER.fullmatch(text)
    if match is None or (match["sign"] and match["inner"]):
        return None
    digits = match["whole"].replace(",", "") + (match["rest"] or "").rstrip(".")
    if not 0 < sum(map(str.isdigit, digits)) <= _DIGITS_EXACT:
        return None
    value = Decimal(match["sign"] + match["inner"] + digits + (match["power"] or ""))
    return value if abs(value.adjusted()) <= _DIGITS_EXACT else None


def _read_bare(text: str) -> Answer:
    """`text` as an answer with nothing around it."""
    text = trim(text)
    number = plain_number(text)
    if number is not None:
        return Answer(text, number, (f"{number:f}",))
    if not any(map(str.isalnum, text)):
        return Answer(text, None, ())
    if _HAS_DELIMITERS.search(text) or len(text) > LONGEST_ANSWER or len(_words(text)) > 1:
        return Answer(text, None, (text,))
    formula = "$" + _LATEX_THOUSANDS.sub("", text) + "$"
    if _COMMA_PAIR.fullmatch(text):
        return Answer(text, None, (formula, text), ambiguous=True)
    return Answer(text, None, (formula, text) if _is_formula(text) else (text, formula))


def _words(text: str) -> list[str]:
    """The words of a natural language in `text`, LaTeX commands and their arguments aside."""
    words = _WORD.findall(_COMMAND.sub(" ", text))
    return [word for word in words if not _WORD_OF_FORMULAS.fullmatch(word)]


def _is_formula(text: str) -> bool:
    """Whether `text` is a formula without delimiters, of which math-verify would see one number only.

    So read, `x^2 + 1` would equal `x^3 + 1`.
    """
    if _HAS_DELIMITERS.search(text) or not _FORMULA.search(text) or _QUANTITY.fullmatch(text):
        return False
    words = _words(text)
    return not words or (len(words) == 1 and _COMMAND.search(text) is not None)

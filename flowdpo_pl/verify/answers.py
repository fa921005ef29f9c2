"""Reads the answer of a text and decides plain cases without computer algebra.

What remains undecided here goes to math-verify as `Answer.readings`, strings in its own dialect: prose,
of which it takes the last number or delimited formula, or a formula between dollar signs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from flowdpo_pl.verify.boxes import is_broken_off
from flowdpo_pl.verify.choices import read_choice
from flowdpo_pl.verify.doubts import is_doubtful, is_doubtful_end, is_unclear, without_denial
from flowdpo_pl.verify.markers import LONGEST_ANSWER, MOST_DIGITS, find_marked, trim
from flowdpo_pl.verify.reasoning import final_part
from flowdpo_pl.verify.spelling import plain_spelling
from flowdpo_pl.verify.values import read_value


@dataclass(frozen=True, slots=True)
class Answer:
    """What there is to judge in one text, a prediction or a gold answer."""

    text: str
    r"""The marked answer as written, several boxes as `\boxed{1}, \boxed{2}`; all of an unmarked text."""
    value: Fraction | None
    """Its value if it is one quantity and nothing else."""
    readings: tuple[str, ...]
    """What math-verify shall parse, best first; a later one counts only if the earlier give nothing."""
    ambiguous: bool = False
    """Whether every reading counts: `1,22` is a list or a number with a decimal comma."""
    choice: str | None = None
    """The letter of a multiple choice."""
    doubtful: bool = False
    """Whether it may be several answers or a denied one (`5 to 6`, `not 5`): then nothing is read."""

    @property
    def is_decimal(self) -> bool:
        """Whether it is a number that is written without a fraction."""
        return self.value is not None and "/" not in self.readings[0] and "frac" not in self.readings[0]


_DECIMALS_EQUAL = Fraction(1, 100_000)
"""math-verify rounds to 6 decimals; unequal numbers closer than this (below 1, relatively) are left to it."""

_PLAIN_NUMBER = re.compile(rf"-?\d{{1,{MOST_DIGITS}}}(?:\.\d{{1,{MOST_DIGITS}}})?")
_FRACTION = re.compile(r"[-+]?\d+/\d+")
_LATEX_FRACTION = re.compile(r"[-+]?\\[dtc]?frac\s*(?:\{[-+]?\d+\}\s*\{\d+\}|\d\s?\d)")
_COMMA_PAIR = re.compile(r"-?\d+,\d+")
_OR = re.compile(r"\s(?:or|and)\s")
_ONE_OF_SEVERAL = re.compile(r"\s*[-+]?\$?[\d.,/]*\d\s*,?")
_HAS_DELIMITERS = re.compile(r"(?<!\\)\$|\\\(|\\\[|\\boxed|\\fbox")
_COMMAND = re.compile(r"\\[A-Za-z]+\s*(?:\{[^{}]*\})?")
_WORD = re.compile(r"[A-Za-z]{3,}")
_WORD_OF_FORMULAS = re.compile(r"(?:arc)?(?:sin|cos|tan)|cot|sec|csc|log|exp|sqrt|and", re.IGNORECASE)
_QUANTITY = re.compile(r"[-+$€£¥\d.,\s]*\d\s+[A-Za-z]{2,}(?:\s*/\s*[A-Za-z]+)?[²³]?")
_FORMULA = re.compile(
    r"\\[A-Za-z{]|[\^_{}<>≤≥=!±√π∞]|\d:\d|\d[A-Za-z]|[A-Za-z]\d"  # \sqrt, x^2, 7:3, 2x
    r"|[A-Za-z)]\s*[-+*/]|[-+*/]\s*[A-Za-z(]|\d\s+[A-Za-z](?![A-Za-z])"  # x + 1, 5 x
    r"|[(\[]\s*-?[\d.]+\s*,|,\s|,\D|,\d{1,2}(?!\d)|\band\b"  # (1,2)
)


def read_answer(text: str) -> Answer:
    """What there is to judge in `text`: its marked answer, else all of it."""
    return _read(text)


@lru_cache(256)  # a gold answer is read for each of its samples; few, as some texts are long
def _read(text: str) -> Answer:
    text = final_part(text).strip()
    marked = find_marked(text)
    if marked is None:
        broken = is_broken_off(text)
        return Answer(text, None, (), doubtful=True) if broken else _read_bare(text, marked=False)
    if marked.whole is not None:
        return Answer(marked.whole, None, (plain_spelling(marked.whole),))
    answer = _read_bare(marked.text, marked=True)
    if not marked.known or answer.value is not None or not answer.readings or answer.choice:
        return answer
    is_alone = len(answer.readings) == 1 or answer.ambiguous  # a formula, whatever stands around it
    if is_alone or len(marked.text) > LONGEST_ANSWER or not any(map(str.isdigit, marked.text)):
        # math-verify would search the rest of the text too, for another formula or another number.
        return answer
    return replace(answer, readings=(plain_spelling(text), *answer.readings))


def quick_verdict(prediction: Answer, gold: Answer) -> bool | None:
    """The verdict where it is certain, None where math-verify must decide."""
    if prediction.text and prediction.text == gold.text:
        return True
    if not prediction.readings:
        return False
    if prediction.choice and gold.choice:
        return prediction.choice == gold.choice
    if prediction.value is None or gold.value is None or not (prediction.is_decimal and gold.is_decimal):
        return None
    difference = prediction.value - gold.value
    if not difference:
        return True
    whole = prediction.value.denominator == gold.value.denominator == 1
    return False if whole or abs(difference) > _DECIMALS_EQUAL * min(Fraction(1), abs(gold.value)) else None


def _read_bare(raw: str, marked: bool) -> Answer:
    """`raw` as an answer with nothing around it."""
    raw = trim(raw)
    if _PLAIN_NUMBER.fullmatch(raw):
        return Answer(raw, Fraction(Decimal(raw)), (raw,))  # an int of a text may have 4,300 digits only
    if not any(map(str.isalnum, raw)):
        return Answer(raw, None, ())
    if len(raw) > LONGEST_ANSWER:
        text = plain_spelling(raw)
        doubtful = is_doubtful_end(text)
        return Answer(raw, None, () if doubtful else (text,), doubtful=doubtful)
    text = plain_spelling(without_denial(raw))
    if marked and is_unclear(text):
        return Answer(raw, None, (), doubtful=True)
    choice, rest = read_choice(text) or (None, text)
    value = read_value(rest)
    if value is not None:
        return Answer(raw, value, (_as_formula(value, rest),), choice=choice)
    if choice:
        return Answer(raw, None, (f"${choice}$",), choice=choice)
    if len(several := _OR.split(text)) > 1 and all(map(_ONE_OF_SEVERAL.fullmatch, several)):
        text = ", ".join(part.strip(" ,") for part in several)  # `5 or 6` is the set of both
    elif is_doubtful(text) if marked and not is_formula(text) else is_doubtful_end(text):
        return Answer(raw, None, (), doubtful=True)
    return Answer(raw, None, *_readings(text))


def _readings(text: str) -> tuple[tuple[str, ...], bool]:
    """What math-verify shall parse of a short text, and whether every reading counts."""
    if has_delimiters(text) or len(natural_words(text)) > 1:
        return (text,), False
    formula = "$" + text + "$"
    if _COMMA_PAIR.fullmatch(text):
        return (formula, text), True
    return ((formula,) if is_formula(text) else (text, formula)), False


def _as_formula(value: Fraction, text: str) -> str:
    """`value` for math-verify: exactly, but as a decimal where it was written as one."""
    if _FRACTION.fullmatch(text) or _LATEX_FRACTION.fullmatch(text):
        return f"${text}$" if "frac" in text else text
    if value.denominator == 1:
        return str(value.numerator)
    places = next((n for n in range(1, 401) if 10**n % value.denominator == 0), None)
    if places is None or "/" in text or "frac" in text:
        return str(value)
    digits = f"{abs(value.numerator) * 10**places // value.denominator:0{places + 1}d}"
    return ("-" if value < 0 else "") + digits[:-places] + "." + digits[-places:]


def has_delimiters(text: str) -> bool:
    """Whether a formula stands in delimiters in `text`, between dollar signs or in a box."""
    return _HAS_DELIMITERS.search(text) is not None


def natural_words(text: str) -> list[str]:
    """The words of a natural language in `text`, LaTeX commands and their arguments aside."""
    words = _WORD.findall(_COMMAND.sub(" ", text))
    return [word for word in words if not _WORD_OF_FORMULAS.fullmatch(word)]


def is_formula(text: str) -> bool:
    """Whether `text` is a formula without delimiters, of which math-verify would see one number only.

    So read, `x^2 + 1` would equal `x^3 + 1`.
    """
    if has_delimiters(text) or not _FORMULA.search(text) or _QUANTITY.fullmatch(text):
        return False
    words = natural_words(text)
    return not words or (len(words) == 1 and _COMMAND.search(text) is not None)

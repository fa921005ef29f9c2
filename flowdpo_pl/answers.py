"""Finds the final answer in a text and decides plain cases without computer algebra.

Pure string work, linear in the text's length. What remains undecided here goes to math-verify
as `Answer.readings`, strings in its own dialect (prose, or LaTeX between dollar signs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import IntEnum


class Strength(IntEnum):
    """How strongly a marker claims to hold the final answer; of equal ones the last in the text wins."""

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

_LONGEST_FORMULA = 500
"""Characters; what is longer is no bare formula but the babble of a model, slow to parse."""

_BOX_OR_BRACE = re.compile(r"(?P<box>\\(?:boxed|fbox)\s*\{)|\\.|(?P<open>\{)|(?P<close>\})", re.DOTALL)
_PHRASE = re.compile(
    r"(?<![a-z])(?P<final>final\s*)?answers?(?:\*\*)?(?:(?P<colon>\s*:)|\s*=|\s*(?:is|are)(?![a-z])"
    r"|(?![a-z])[^\n.:?!=]{0,60}?\s(?:is|are)(?![a-z]))[\s:*]*",
    re.IGNORECASE,
)
_HASHES = re.compile(r"####[ \t]*(?!\d+[.):]\s)(?=[-+$€£\\]*\.?\d)(?P<rest>[^\n]+)")
_LAST_LINE = re.compile(r"^[ \t*]*A:[ \t*]*(?P<rest>\S[^\n]*)\s*\Z", re.MULTILINE)
_MATH = re.compile(
    r"(?:\$\$(?P<display>[^$]{1,500})\$\$|\$(?!\s)(?P<inline>[^$\n]{1,500})(?<!\s)\$(?!\d)"
    r"|\\\((?P<round>[^\n]{1,500}?)\\\)|\\\[(?P<square>.{1,500}?)\\\])[*\s]*(?:\.(?=\s|\Z)|\n|\Z)",
    re.DOTALL,
)
_SENTENCE_END = re.compile(r"[.!?](?=[\s*]|\Z)")

_NUMBER = re.compile(
    r"(?P<sign>[-+]?)(?:\\?\$|[€£¥])?(?P<inner>-?)"
    r"(?P<whole>[1-9]\d{0,2}(?:,\d{3})+|\d*)(?P<rest>\.\d+|\.(?!\d))?(?P<power>[eE][-+]?\d{1,2})?"
)
_THOUSANDS = re.compile(r"(?<=\d)(?:,\\!|\{,\}(?:\\!)?)\s*(?=\d{3})")
_ARITHMETIC = re.compile(r"[\d.,\s%$€£¥+*/^-]+")
_LIST = re.compile(r",\s|,\D|,\d{1,2}(?!\d)")
_COMMA_PAIR = re.compile(r"-?\d+,\d+")
_DELIMITED = re.compile(r"(?<!\\)\$|\\\(|\\\[|\\boxed|\\fbox")
_COMMAND = re.compile(r"\\[A-Za-z]+\s*(?:\{[^{}]*\})?")
_WORD = re.compile(r"[A-Za-z]{3,}")
_FUNCTION = re.compile(r"(?:arc)?(?:sin|cos|tan)|cot|sec|csc|log|ln|exp|sqrt|pi", re.IGNORECASE)


def extract_marked(text: str) -> str | None:
    r"""The answer behind an explicit marker, or None: never a guess from the last number.

    Markers: `\boxed{...}`, `#### N`, '(final) answer is ...', 'Answer: ...', a last line 'A: ...'. Text up
    to a closing `</think>` is reasoning and holds no answer.
    """
    marked = _best_marked(_after_reasoning(text))
    return marked.text if marked else None


def read_answer(text: str) -> Answer:
    """What there is to judge in `text`: its marked answer, else all of it."""
    text = _after_reasoning(text).strip()
    marked = _best_marked(text)
    if marked is None:
        return _bare(text)
    boxes = _boxes(text)
    if len(boxes) > 1 and marked.start == boxes[-1].start:
        return Answer(None, None, (text,))
    answer = _bare(marked.text)
    if answer.number is not None or not marked.known:
        return answer
    # math-verify finds boxes and delimited formulas in the text by itself, and joins several. In a formula
    # without delimiters it sees only a number, so that `x^2 + 1` would equal `x^3 + 1`.
    formula = not boxes and answer.readings[:1] != (answer.text,)
    return answer if formula else replace(answer, readings=(text, *answer.readings), ambiguous=False)


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
    text = _THOUSANDS.sub("", text.strip())
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


def _after_reasoning(text: str) -> str:
    return text.rpartition("</think>")[2]


def _best_marked(text: str) -> Marked | None:
    return max(_all_marked(text), key=lambda marked: (marked.strength, marked.start), default=None)


def _all_marked(text: str) -> Iterator[Marked]:
    yield from _boxes(text)[-1:]
    for phrase in _PHRASE.finditer(text):
        strength = (
            Strength.FINAL if phrase["final"] else Strength.LINE if phrase["colon"] else Strength.PHRASE
        )
        if content := _clause(text, phrase.end()):
            yield Marked(strength, phrase.start(), content)
    for hashes in _HASHES.finditer(text):
        yield Marked(Strength.FINAL, hashes.start(), _trim(hashes["rest"]), known=False)
    if line := _LAST_LINE.search(text):
        yield Marked(Strength.LINE, line.start(), _trim(line["rest"]), known=False)


def _boxes(text: str) -> list[Marked]:
    r"""The complete, non-empty `\boxed{...}` in order of their closing braces."""
    found: list[Marked] = []
    opened: list[re.Match[str]] = []
    for match in _BOX_OR_BRACE.finditer(text):
        if match["box"] or match["open"]:
            opened.append(match)
        elif match["close"] and opened:
            opener = opened.pop()
            content = text[opener.end() : match.start()].strip() if opener["box"] else ""
            if content:
                found.append(Marked(Strength.FINAL, opener.start(), content))
    return found


def _clause(text: str, start: int) -> str:
    """From `start` to the end of the formula, the sentence or the line that begins there."""
    if math := _MATH.match(text, start):
        return next(group for group in math.groups() if group).strip()
    line_end = text.find("\n", start)
    line = text[start : line_end if line_end >= 0 else len(text)]
    sentence_end = _SENTENCE_END.search(line)
    return _trim(line[: sentence_end.start()] if sentence_end else line)


def _trim(text: str) -> str:
    return text.strip().strip("*").rstrip(".,;").strip()


def _bare(text: str) -> Answer:
    """`text` as an answer with nothing around it."""
    text = _trim(text)
    number = plain_number(text)
    if number is not None:
        return Answer(text, number, (f"{number:f}",))
    if not any(map(str.isalnum, text)):
        return Answer(text, None, ())
    words = [word for word in _WORD.findall(_COMMAND.sub(" ", text)) if not _FUNCTION.fullmatch(word)]
    if _DELIMITED.search(text) or len(words) > 1 or len(text) > _LONGEST_FORMULA:
        return Answer(text, None, (text,))
    formula = "$" + _THOUSANDS.sub("", text) + "$"
    if _COMMA_PAIR.fullmatch(text):
        return Answer(text, None, (formula, text), ambiguous=True)
    quantity = bool(words) and not _COMMAND.search(text)
    arithmetic = bool(_ARITHMETIC.fullmatch(text)) and not _LIST.search(text)
    return Answer(text, None, (text, formula) if quantity or arithmetic else (formula, text))

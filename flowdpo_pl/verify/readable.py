"""Could a text be anybody's answer? By cheap rules alone, for every row of a data set is asked.

Nothing is parsed or computed here, so that no text, however hostile, costs more than its length.
"""

from __future__ import annotations

import re

from flowdpo_pl.errors import UserError
from flowdpo_pl.verify.answers import Answer, has_delimiters, is_formula, natural_words, read_answer
from flowdpo_pl.verify.markers import LONGEST_ANSWER

_MISSING = re.compile(
    r"none|nan|null|nil|#?n/a|<?na>?|n\.a|nat|[-+]?inf|unknown|unk|missing|tbd|tba|todo|empty|blank|omitted"
    r"|pending|idk|error"
    r"|no answer|not available|no solution given|unanswered|answer|solution"
    r"|see (?:above|below|text)|no idea"
    r"|undefined answer|\[?(?:removed|deleted|redacted)\]?|unbekannt|keine(?: antwort)?|inconnue?|aucune"
    r"|desconocido|ninguna|sconosciuto|nessuna|неизвестно|нет|略|无|無|未知|なし|不明|없음"
)
_REFERENCE = re.compile(
    r"\b(?:see|refer|cf|siehe|vgl|voir|voyez|ver|véase|vea|vedi|zie|page|pages|p|pp|seite|s|página|pagina|sheet|blatt|step|figure"
    r"|fig|problem|exercise|question|section|chapter|appendix|table|solution|answer\s+key|hint|version|стр|см)\b\.?",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"[^\W\d_]+")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)  # scripts without spaces, Hangul
_LONGEST_UNSPACED = 3
_LONGEST_WORD = 30
_LONGEST = 2000  # characters, of several boxes too
_MOST_WORDS = 6
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_OPERATOR = re.compile(r"[=+^<>|/*\\≤≥∈∞π√±°]|(?<!\w)-|-(?!\w)")
_CONTENT = re.compile(r"[^\W_]|\\[A-Za-z]")
_PUNCTUATION = " .!?()'\"\u201c\u201d\u2013\u2014-"
_FONT = re.compile(
    r"\\(?:text|textbf|textrm|mbox|mathrm|textnormal|emph|textit|boxed|fbox)\s*\{([^{}]*)\}|[$*]"
)


def is_readable_gold(gold: str) -> bool:
    """Whether a prediction could be compared with `gold`; see `check_gold`."""
    return is_readable(read_answer(gold))


def check_gold(gold: object) -> None:
    r"""Raises UserError if no prediction could ever be compared with `gold`.

    Readable are numbers, quantities, formulas, choices and single words; not 'n/a', 'see the solution sheet',
    or prose with several numbers. Cheap rules decide, in microseconds for plain numbers and in linear time
    for any other text; computer algebra parses nothing. A formula that is sound to the eye is let through: if
    math-verify can't read it (`\frac{1}{0}`) or takes for ever (`9**9**9**9`), its verdicts have an `error`.
    """
    if not is_readable_gold("" if gold is None else str(gold)):
        raise UserError(
            f"The gold answer {_shortened(gold)} is unreadable: give a number, LaTeX, or a text that marks "
            r"its answer by \boxed{...}, '#### ...' or 'The answer is ...'."
        )


def _shortened(gold: object) -> str:
    return shown if len(shown := repr(gold)) <= 200 else shown[:200] + "…"


def is_readable(answer: Answer) -> bool:
    """Whether `answer` is a number, a formula, a choice or a single word, and not the lack of one ('n/a')."""
    text = answer.text.strip()
    if not answer.readings or len(text) > _LONGEST:
        return False
    if answer.value is not None or answer.choice:
        return True
    plain = _without_fonts(text)
    if _MISSING.fullmatch(plain.strip(_PUNCTUATION).casefold()) or not _CONTENT.search(plain):
        return False
    if has_delimiters(text) or "\\" in text:
        return _is_balanced(text) and not _REFERENCE.match(plain.strip())
    return _is_short(text)


def _is_short(text: str) -> bool:
    """Whether a text without LaTeX is one word, a formula, or a few words around one number."""
    if len(text) > LONGEST_ANSWER or any(len(run) > _LONGEST_UNSPACED for run in _UNSPACED.findall(text)):
        return False
    words = [word for word in _LETTERS.findall(text) if len(word) > 1]
    numbers = _NUMBER.findall(text)
    if any(len(word) > _LONGEST_WORD for word in words):
        return False
    if ((words and numbers) or len(words) > 1) and _REFERENCE.search(text):
        return False
    if len(words) <= 1 or (is_formula(text) and _OPERATOR.search(text) and not natural_words(text)):
        return True
    return len(numbers) == 1 and len(words) <= _MOST_WORDS


def _without_fonts(text: str) -> str:
    return _FONT.sub(lambda match: match[1] or "", text)


def _is_balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            return False
    return depth == 0

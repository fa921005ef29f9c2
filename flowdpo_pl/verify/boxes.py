r"""Finds `\boxed{...}` in a text, for golds and for predictions alike."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flowdpo_pl.verify.choices import read_choice
from flowdpo_pl.verify.spelling import plain_spelling
from flowdpo_pl.verify.values import read_value

_BOX_OR_BRACE = re.compile(
    r"(?P<box>\\(?:boxed|fbox)\s*\{)|\\(?:boxed|fbox)\s*(?P<bare>[^\W_]\w*)|\\.|(?P<open>\{)|(?P<close>\})",
    re.DOTALL,
)
_STEP = re.compile(
    r"[.!?:](?:[\s*$]|\Z)|\n\s*\n|(?:\A|[^A-Za-z])(?:then|so|hence|thus|therefore|next|now|gives?|get|finally|which|implies"
    r"|final|answer)(?![a-z])|=>|\\(?:[Rr]ightarrow|Longrightarrow|implies|to)\b|→|⇒"
    r"|\A[\s$]*[-+*/=]",  # \boxed{3} + \boxed{4} = \boxed{7}
    re.IGNORECASE,
)
_JOIN = re.compile(
    r"[,;&\n]|\\\\|(?<![A-Za-z])(?:and|or|und|oder|et|ou|y|o|e)(?![a-z])|\A[\s$]*\Z", re.IGNORECASE
)
_OR = re.compile(r"(?<![A-Za-z])(?:or|oder|ou)(?![a-z=])", re.IGNORECASE)
_LONGEST_JOIN = 120  # characters between two boxes of one answer


@dataclass(frozen=True, slots=True)
class Box:
    """One box of a text, or the last of several that make up one answer."""

    start: int
    """Character position of its command."""
    parts: tuple[str, ...]
    """The contents of the boxes that are joined by a comma, 'and' or the like; no two alike."""

    @property
    def text(self) -> str:
        """What the last box holds."""
        return self.parts[-1]

    @property
    def joined(self) -> str:
        r"""The whole answer: the content of a single box, else `\boxed{1}, \boxed{2}`."""
        return self.text if len(self.parts) == 1 else ", ".join(rf"\boxed{{{part}}}" for part in self.parts)


def last_box(text: str) -> Box | None:
    r"""The answer in the last box; None if that is empty, never closed, or not there.

    Boxes of which each is joined to the next ('$x = \boxed{1}$ and $y = \boxed{2}$') are one answer in
    parts; where a sentence ends or a step follows ('then', '='), only what comes after it counts.
    """
    found = _outermost(text)
    if not found:
        return None
    start = begin = found[-1][0]
    parts = [_unwrapped(text[found[-1][2]].strip())]
    if not parts[0]:
        return None
    for earlier, end, inside in reversed(found[:-1]):
        content = _unwrapped(text[inside].strip()) if begin - end <= _LONGEST_JOIN else ""
        if not content or not _are_joined(text[end:begin], content, parts[0]):
            break
        parts.insert(0, content)
        begin = earlier
    different: dict[object, str] = {}
    for part in reversed(parts):
        different.setdefault(_plain_answer(part) or part, part)
    return Box(start, tuple(reversed(different.values())))


def is_broken_off(text: str) -> bool:
    """Whether the last of several boxes is empty or never closed, so that none of them is the answer."""
    if text.count("box") < 2:
        return False
    found = _outermost(text)
    return (
        len(found) > 1
        and not text[found[-1][2]].strip()
        and any(text[inside].strip() for _, _, inside in found)
    )


def _are_joined(between: str, one: str, other: str) -> bool:
    """Whether the boxes on both sides of a text are parts of one answer."""
    if len(between) > _LONGEST_JOIN or _STEP.search(between) or not _JOIN.search(between):
        return False
    if not _OR.search(between) or "=" in between:
        return True
    # '20:34 or 8:34 p.m.' says one thing twice, but '5 or 6' and 'A or B' say two.
    return _plain_answer(one) is not None and _plain_answer(other) is not None


def _plain_answer(content: str) -> object:
    """The value or the choice in a box, None if it holds neither."""
    plain = plain_spelling(content)
    value = read_value(plain)
    return read_choice(plain) if value is None else (value,)


def _outermost(text: str) -> list[tuple[int, int, slice]]:
    """Start, end and inside of each box that stands in no other, in order; an unclosed one holds nothing."""
    found: list[tuple[int, int, slice]] = []
    opened: list[re.Match[str]] = []
    for match in _BOX_OR_BRACE.finditer(text):
        if match["box"] or match["open"]:
            opened.append(match)
        elif match["bare"]:
            found.append((match.start(), match.end(), slice(*match.span("bare"))))
        elif match["close"] and opened:
            opener = opened.pop()
            if opener["box"]:
                while found and found[-1][0] > opener.start():
                    found.pop()  # \boxed{\boxed{5}}
                found.append((opener.start(), match.end(), slice(opener.end(), match.start())))
    unclosed = [(opener.start(), len(text), slice(0)) for opener in opened if opener["box"]]
    return sorted([*found, *unclosed], key=lambda box: box[0])


def _unwrapped(content: str) -> str:
    r"""`content` out of a box in a box, as in `\boxed{\boxed{5}}`."""
    while match := re.fullmatch(
        r"\\(?:boxed|fbox)\s*\{([^{}]*|[^{}]*\{[^{}]*\}[^{}]*)\}", content, re.DOTALL
    ):
        content = match[1].strip()
    return content

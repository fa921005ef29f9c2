r"""Finding the gold answer in a row: one small class per convention, named in the config.

An extractor maps a row's answer text to the gold answer, or to None when it finds none. It
only cuts text; whether the answer can be judged is the verifier's business.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

_GROUPED_NUMBER = re.compile(r"[-+]?\$?\d{1,3}(,\d{3})+(\.\d+)?")
_LONGEST_PLAIN_ANSWER = 100  # characters; anything longer is a worked solution


class GoldExtractor(ABC):
    """Cuts the gold answer out of a row's answer text."""

    @abstractmethod
    def __call__(self, text: str) -> str | None:
        """The gold answer in `text` (stripped, never empty), or None when there is none."""


class Plain(GoldExtractor):
    """The text is the answer, as it stands."""

    def __call__(self, text: str) -> str | None:
        return text.strip() or None


class AfterMark(GoldExtractor):
    """What follows the last mark on its line, without thousands separators.

    Args:
        mark: text before the answer, for instance `The answer is:` in MetaMath.
    """

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __call__(self, text: str) -> str | None:
        _, found, rest = text.rpartition(self.mark)
        answer = rest.partition("\n")[0].strip() if found else ""
        if _GROUPED_NUMBER.fullmatch(answer):
            answer = answer.replace(",", "")
        return answer or None


class HashMarked(AfterMark):
    """GSM8K's convention: the last line is `#### N`."""

    def __init__(self) -> None:
        super().__init__("####")


class Boxed(GoldExtractor):
    r"""MATH's convention: the content of the last `\boxed{...}`, with its inner braces."""

    def __call__(self, text: str) -> str | None:
        _, found, rest = text.rpartition(r"\boxed{")
        end = _closing_brace(rest) if found else -1
        return rest[:end].strip() or None if end >= 0 else None


class Automatic(GoldExtractor):
    r"""`#### N` where there is one, else the last `\boxed{...}`, else a short text as it stands.

    A long text without either mark gives None: it is a solution, and taking the whole of it for
    the gold answer would judge every attempt wrong without a word.
    """

    def __call__(self, text: str) -> str | None:
        if "####" in text:
            return HashMarked()(text)
        if r"\boxed{" in text:
            return Boxed()(text)
        return Plain()(text) if len(text.strip()) <= _LONGEST_PLAIN_ANSWER else None


def _closing_brace(text: str) -> int:
    r"""Index of the brace that closes one opened just before `text`, or -1; `\{` and `\}` are text."""
    depth = 1
    for brace in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return brace.start()
    return -1

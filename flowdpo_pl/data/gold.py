r"""Finding the gold answer in a row: one small class per convention, named in the config.

An extractor maps a row's answer text to the gold answer, or to None when it finds none. It
only cuts text, with the verifier's reader; whether the answer can be judged is the verifier's business.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from flowdpo_pl.verify.markers import after_last, last_box

_GROUPED_NUMBER = re.compile(r"[-+]?\$?\d{1,3}(,\d{3})+(\.\d+)?")
_WORD = re.compile(r"(?<!\\)\b[A-Za-z]{2,}")  # but no LaTeX commands
_MOST_WORDS = 6  # of an answer; more make a solution


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
        answer = after_last(self.mark, text) or ""
        if _GROUPED_NUMBER.fullmatch(answer):
            answer = answer.replace(",", "")
        return answer or None


class HashMarked(AfterMark):
    """GSM8K's convention: the last line is `#### N`."""

    def __init__(self) -> None:
        super().__init__("####")


class Boxed(GoldExtractor):
    r"""MATH's convention: the content of the last `\boxed{...}`, with its inner braces (or `\boxed 2`)."""

    def __call__(self, text: str) -> str | None:
        return last_box(text)


class Automatic(GoldExtractor):
    r"""`#### N` where there is one, else the last `\boxed{...}`, else what follows `The answer is:`
    (MetaMath), else a short line as it stands.

    A longer text without a mark gives None: it is a solution, and taking the whole of it for the
    gold answer would judge every attempt wrong without a word.
    """

    def __init__(self) -> None:
        self._by_mark: dict[str, GoldExtractor] = {
            "####": HashMarked(),
            r"\boxed": Boxed(),
            "The answer is:": AfterMark("The answer is:"),
        }

    def __call__(self, text: str) -> str | None:
        for mark, extractor in self._by_mark.items():
            if mark in text:
                return extractor(text)
        text = text.strip()
        is_short = "\n" not in text and len(_WORD.findall(text)) <= _MOST_WORDS
        return text or None if is_short else None

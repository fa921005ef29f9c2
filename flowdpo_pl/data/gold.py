r"""Finding the gold answer in a row: one small class per convention, named in the config.

An extractor maps a row's answer text to the gold answer, or to None when it finds none. It cuts with
the verifier's reader, so that a solution, read as a prediction, is right against the gold cut from it;
whether it can be judged is the verifier's business (`Verifier.reads_gold`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import ClassVar

from flowdpo_pl.verify.answers import read_answer
from flowdpo_pl.verify.boxes import last_box
from flowdpo_pl.verify.markers import after_last, find_marked, last_hashes
from flowdpo_pl.verify.readable import is_readable
from flowdpo_pl.verify.reasoning import final_part

_GROUPED_NUMBER = re.compile(r"[-+]?\$?\d{1,3}(,\d{3})+(\.\d+)?")


class GoldExtractor(ABC):
    """Cuts the gold answer out of a row's answer text."""

    takes_lists: ClassVar[bool] = False
    """Whether a list of texts is several gold answers; they come as a JSON text (`several_golds`)."""

    @abstractmethod
    def __call__(self, text: str) -> str | None:
        """The gold answer in `text` (stripped, never empty), or None when there is none."""

    def __str__(self) -> str:
        """The rule with its settings, equal for equal rules."""
        settings = ", ".join(f"{name}={value!r}" for name, value in sorted(vars(self).items()))
        return f"{type(self).__name__}({settings})" if settings else type(self).__name__


class Plain(GoldExtractor):
    """The text is the answer, as it stands; a list of texts is several, for a verifier that takes them."""

    takes_lists = True

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
        return _ungrouped(after_last(self.mark, final_part(text)))


class HashMarked(GoldExtractor):
    """GSM8K's convention: the last line is `#### N`. A heading (`#### Step 1`) is no answer."""

    def __call__(self, text: str) -> str | None:
        return _ungrouped(last_hashes(final_part(text)))


class Boxed(GoldExtractor):
    r"""MATH's convention: the content of the last `\boxed{...}`, with its inner braces (or `\boxed 2`).

    Boxes that are joined, '$x=\boxed{1}$ and $y=\boxed{2}$', are one answer in parts: `\boxed{1}, \boxed{2}`.
    """

    def __call__(self, text: str) -> str | None:
        box = last_box(final_part(text))
        return box.joined if box else None


class Automatic(GoldExtractor):
    r"""The marked answer of a text, as the verifier finds it in a prediction: `#### N` or the last
    `\boxed{...}`, whichever comes later, else what follows 'The answer is'. Without a mark, a short line.

    A longer text without a mark gives None: it is a solution, and taking the whole of it for the
    gold answer would judge every attempt wrong without a word. So does a line that says that there is no
    answer ('n/a'), or says it elsewhere ('see the solution sheet').
    """

    def __call__(self, text: str) -> str | None:
        text = final_part(text).strip()
        if marked := find_marked(text):
            return _ungrouped(marked.whole or marked.text)
        return text if text and "\n" not in text and is_readable(read_answer(text)) else None


def _ungrouped(answer: str | None) -> str | None:
    """`1200` for `1,200`."""
    return answer.replace(",", "") if answer and _GROUPED_NUMBER.fullmatch(answer) else answer or None

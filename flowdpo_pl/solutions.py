"""How a row's worked solution becomes a trace: one small class per way, named in the config."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowdpo_pl.errors import UserError
from flowdpo_pl.rendered_solutions import NoSolutionError, render_equation


class Solution(ABC):
    """Makes the ground-truth trace of a row."""

    @abstractmethod
    def __call__(self, row: Mapping[str, Any], gold: str) -> str:
        """The trace of a row whose gold answer is `gold`.

        Raises:
            NoSolutionError: the row gives none; the message says why in a few words.
        """


@dataclass(frozen=True)
class RenderedEquation(Solution):
    """Written from an equation, one operation a sentence, ending "The answer is N."."""

    field: str = "equation"
    """Column with the equation, such as `(8 + 2) * 3`."""
    decimals: int = 4
    """Places after the point that results are rounded to."""

    def __call__(self, row: Mapping[str, Any], gold: str) -> str:
        return render_equation(_text(row, self.field), gold, self.decimals)


@dataclass(frozen=True)
class WorkedSolution(Solution):
    """The data set's own solution, as it stands."""

    field: str = "answer"
    """Column with the solution (GSM8K: answer, MATH: solution)."""
    remove: str = ""
    """Regular expression of what is cut out (GSM8K's calculator marks: `<<[^>]*>>`)."""

    def __post_init__(self) -> None:
        try:
            re.compile(self.remove)
        except re.error as error:
            raise UserError(f"solution.remove {self.remove!r} is no regular expression: {error}.") from error

    def __call__(self, row: Mapping[str, Any], gold: str) -> str:
        text = _text(row, self.field)
        return (re.sub(self.remove, "", text) if self.remove else text).strip()


def _text(row: Mapping[str, Any], field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise NoSolutionError(f"no {field}")
    return value

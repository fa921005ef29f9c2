"""How a row's worked solution becomes a trace: one small class per way, named in the config.

Equations are data of strangers: Python's grammar reads them, nothing evaluates them. Arithmetic is exact;
only what is written is rounded, and the exact value goes on into the next operation.
"""

from __future__ import annotations

import ast
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flowdpo_pl.errors import NOT_NEGATIVE, UserError, require_within

_OPERATIONS: dict[type[ast.operator], tuple[str, Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
}
_LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")  # Python's grammar has none


class NoSolutionError(ValueError):
    """Why a row gives no worked solution, in a few words."""


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

    def __post_init__(self) -> None:
        require_within(NOT_NEGATIVE, {"decimals": self.decimals})

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
            raise UserError(f"remove {self.remove!r} is no regular expression: {error}.") from error

    def __call__(self, row: Mapping[str, Any], gold: str) -> str:
        text = _text(row, self.field)
        return (re.sub(self.remove, "", text) if self.remove else text).strip()


def render_equation(equation: str, gold: str, decimals: int = 4) -> str:
    """One sentence for each operation, in the order in which they are done, and the answer:
    `(8 + 2) * 3` as "8 + 2 = 10. 10 * 3 = 30. The answer is 30."

    Args:
        equation: numbers, `+ - * /`, parentheses; a minus in front of a number is its sign.
        gold: the right answer, a plain number; the last sentence prints it as it stands.
        decimals: places after the point that results are rounded to where they are written.

    Raises:
        NoSolutionError: the equation can't be read, divides by zero, or gives another number than `gold`.
    """
    sentences, result = _worked(equation, decimals)
    try:
        answer = Fraction(gold)
    except (ValueError, ZeroDivisionError):
        raise NoSolutionError(f"the gold answer {gold!r} is no number") from None
    if round(result, decimals) != round(answer, decimals):
        raise NoSolutionError(
            f"the equation gives {written(result, decimals)}, but the gold answer is {gold}"
        )
    return " ".join([*sentences, f"The answer is {gold}."])


def written(number: Fraction, decimals: int = 4) -> str:
    """The number as data sets print it: rounded, without trailing zeros."""
    scaled = round(number * 10**decimals)
    whole, places = divmod(abs(scaled), 10**decimals)
    text = f"{whole}.{places:0{decimals}}".rstrip("0").rstrip(".") if places else str(whole)
    return f"-{text}" if scaled < 0 else text


def _worked(equation: str, decimals: int) -> tuple[list[str], Fraction]:
    """The operations as sentences, in the order in which they are done, and the exact value."""
    text = _LEADING_ZEROS.sub("", " ".join(equation.split()))
    sentences: list[str] = []

    def value(node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int() | float()):
                return Fraction(ast.get_source_segment(text, node) or "")
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
                return -value(node.operand)
            case ast.BinOp() if type(node.op) in _OPERATIONS:
                sign, apply = _OPERATIONS[type(node.op)]
                left = value(node.left)
                right = value(node.right)
                if sign == "/" and right == 0:
                    raise NoSolutionError(f"{equation!r} divides by zero")
                result = apply(left, right)
                sum_ = f"{written(left, decimals)} {sign} {written(right, decimals)}"
                sentences.append(f"{sum_} = {written(result, decimals)}.")
                return result
        raise SyntaxError

    try:
        if not re.fullmatch(r"[\d.+*/() -]+", text, re.ASCII):
            raise SyntaxError
        return sentences, value(ast.parse(text, mode="eval").body)
    # The last two: nested beyond what Python's parser takes.
    except (SyntaxError, RecursionError, MemoryError):
        raise NoSolutionError(f"{equation[:80]!r} is no sum of numbers, + - * / and parentheses") from None


def _text(row: Mapping[str, Any], field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise NoSolutionError(f"no {field}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NoSolutionError(f"{field} holds half a character (a lone surrogate)") from None
    return value
